import { runtime } from '#runtime';
import { writeAll } from '../runtime/write-all.ts';

/**
 * Standard output and standard error, written straight to their descriptors. Under Bun, making the stream objects of
 * `process.stdout` and `process.stderr` costs a client command more than its request does.
 */
export function writeOut(text: string | Uint8Array): void {
  write(1, text);
}

/** A line, or part of one, on standard error. */
export function writeError(text: string): void {
  write(2, text);
}

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
    broken(1, error);
  }
}

function write(fd: 1 | 2, text: string | Uint8Array): void {
  try {
    writeAll(runtime.write, fd, typeof text === 'string' ? Buffer.from(text) : text);
  } catch (error) {
    broken(fd, error);
  }
}

/** A reader that has seen enough (`| head -1`) is no error; a log that nobody reads ends no broker. */
function broken(fd: 1 | 2, error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EPIPE') throw error;
  if (fd === 1) process.exit(0);
}
