import { runtime } from '#runtime';
import { createErrorSink } from '../../runtime/stdio/error-sink.ts';
import { writeAll } from '../../runtime/stdio/write-all.ts';
import { createLineQueue } from './line-queue.ts';

/**
 * Standard output and standard error, written straight to their descriptors. Under Bun, making the stream objects of
 * `process.stdout` and `process.stderr` costs a client command more than its request does.
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

/** A line, or part of one, on standard error. What tells of the work never hurts it: this neither throws nor waits. */
export function writeError(text: string): void {
  errors.write(text);
}

/** From now on standard error is a log, which waits for no reader even where it is one socket with standard output. */
export function logToErrors(lossLine: (lines: number) => string): void {
  isLog = true;
  errors.sayLossAs(lossLine);
}

/** How many lines for standard error were lost so far. */
export function lostLines(): number {
  return errors.lost;
}

/** Gives what is still to be written to standard error its time, which is bounded. For the end of a program. */
export const flushErrors: () => Promise<void> = errors.flush;

/** Whether a descriptor (1: standard output, 2: standard error) is a terminal. */
export async function isTerminal(fd: 1 | 2): Promise<boolean> {
  const { isatty } = await import('node:tty');
  return isatty(fd);
}

/** Standard output for the result of a command that ends with it: `writeOut`, but sooner. */
export async function writeResult(text: string): Promise<void> {
  try {
    await runtime.print(text);
  } catch (error) {
    broken(error);
  }
}

/** A reader that has seen enough (`| head -1`) is no error. */
function broken(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  process.exit(0);
}
