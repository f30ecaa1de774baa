import type { FileSystem } from '../runtime.ts';

/** poll(2) on one descriptor, described by the eight bytes of a `struct pollfd`, without waiting. */
export type Poll = (pollfd: Uint8Array<ArrayBuffer>) => number;

/** POLLERR, POLLHUP and POLLNVAL of Linux and macOS: each of them shows that there is no reader. */
const GONE = 0x8 | 0x10 | 0x20;
const LOOK_EVERY_MS = 200;

/** Whether standard output is a pipe or a socket, whose reader may go. */
export function isPipeOrSocket(fs: FileSystem): boolean {
  try {
    const kind = fs.fstatSync(1);
    return kind.isFIFO() || kind.isSocket();
  } catch {
    return false;
  }
}

/**
 * Calls `action` once poll(2) reports that the reader of standard output has gone. It does not keep the
 * process alive.
 */
export function pollForBrokenPipe(poll: Poll, action: () => void): void {
  const pollfd = new Uint8Array(8);
  const view = new DataView(pollfd.buffer);
  // Every supported system is little-endian.
  view.setInt32(0, 1, true);
  const timer = setInterval(() => {
    view.setInt16(6, 0, true);
    if (poll(pollfd) < 1 || (view.getInt16(6, true) & GONE) === 0) return;
    clearInterval(timer);
    action();
  }, LOOK_EVERY_MS);
  timer.unref();
}
