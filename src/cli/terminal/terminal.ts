import { runtime } from '#runtime';
import { createErrorSink } from '../../runtime/stdio/error-sink.ts';
import { writeAll } from '../../runtime/stdio/write-all.ts';
import { createLineQueue } from './line-queue.ts';

/**
 * Standard output and standard error, written directly to their descriptors. Under Bun, making the stream
 * objects `process.stdout` and `process.stderr` costs a client command more than its request.
 */
export function writeOut(text: string | Uint8Array): void {
  try {
    writeAll(runtime.write, 1, typeof text === 'string' ? Buffer.from(text) : text);
  } catch (error) {
    broken(error);
  }
}

let isLog = false;
const errors = createLineQueue(createErrorSink(runtime, { isInOrder: () => !isLog }));

/**
 * Writes a line, or part of one, to standard error. It neither throws nor waits, because messages must not
 * harm the work.
 */
export function writeError(text: string): void {
  errors.write(text);
}

/**
 * From now on standard error is a log. It waits for no reader, even if it is the same socket as standard
 * output.
 */
export function logToErrors(lossLine: (lines: number) => string): void {
  isLog = true;
  errors.sayLossAs(lossLine);
}

/** How many lines for standard error were lost so far. */
export function lostLines(): number {
  return errors.lost;
}

/** Waits, within limits, until all lines for standard error are written. For the end of a program. */
export const flushErrors: () => Promise<void> = errors.flush;

/** Whether a descriptor (1: standard output, 2: standard error) is a terminal. */
export async function isTerminal(fd: 1 | 2): Promise<boolean> {
  const { isatty } = await import('node:tty');
  return isatty(fd);
}

/** Standard output for the result with which a command ends: `writeOut`, but sooner. */
export async function writeResult(text: string): Promise<void> {
  try {
    await runtime.print(text);
  } catch (error) {
    broken(error);
  }
}

/** A reader that closes early (`| head -1`) is not an error. */
function broken(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  process.exit(0);
}
