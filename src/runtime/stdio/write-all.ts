import { pauseSync } from './pause.ts';

/**
 * Writes all bytes to standard output (1) before it returns.
 * @param write writes some of them, and returns how many (`Runtime.write`).
 * @throws the system's error, such as `EPIPE`.
 */
export function writeAll(write: (fd: 1, bytes: Uint8Array) => number, fd: 1, bytes: Uint8Array): void {
  let rest = bytes;
  while (rest.byteLength > 0) {
    try {
      rest = rest.subarray(write(fd, rest));
    } catch (error) {
      // A pipe that another program has made non-blocking is full; its reader will make room.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      pauseSync();
    }
  }
}
