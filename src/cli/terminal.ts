import { writeSync } from 'node:fs';

/**
 * Standard output and standard error, written straight to their descriptors. Under Bun, making the stream objects of
 * `process.stdout` and `process.stderr` costs a client command more than its request does.
 */
export function writeOut(text: string | Uint8Array): void {
  writeAll(1, text);
}

/** A line, or part of one, on standard error. */
export function writeError(text: string): void {
  writeAll(2, text);
}

/** Whether a descriptor (1: standard output, 2: standard error) is a terminal. */
export async function isTerminal(fd: 1 | 2): Promise<boolean> {
  const { isatty } = await import('node:tty');
  return isatty(fd);
}

function writeAll(fd: number, text: string | Uint8Array): void {
  let rest: Uint8Array = typeof text === 'string' ? Buffer.from(text) : text;
  while (rest.byteLength > 0) {
    try {
      rest = rest.subarray(writeSync(fd, rest));
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A reader that has seen enough (`| head -1`) is no error; a log that nobody reads ends no broker.
      if (code === 'EPIPE' && fd === 1) process.exit(0);
      if (code === 'EPIPE') return;
      // A pipe that another program has set to non-blocking is full; its reader will make room.
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}
