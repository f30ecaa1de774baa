import type { FileSystem } from '../runtime.ts';
import { libcNames } from '../system/libc.ts';
import { isPipeOrSocket, pollForBrokenPipe, type Poll } from '../stdio/broken-pipe.ts';

/** Calls `action` once the reader of standard output has gone; never on a system without poll(2). */
export async function onBrokenPipe(fs: FileSystem, action: () => void): Promise<void> {
  if (process.platform === 'win32' || !isPipeOrSocket(fs)) return;
  const poll = await loadPoll();
  if (poll) pollForBrokenPipe(poll, action);
}

async function loadPoll(): Promise<Poll | undefined> {
  const { dlopen, ptr } = await import('bun:ffi');
  for (const name of libcNames) {
    try {
      const { symbols } = dlopen(name, { poll: { args: ['ptr', 'u64', 'i32'], returns: 'i32' } });
      return (pollfd) => symbols.poll(ptr(pollfd), 1, 0);
    } catch {
      // The library has another name here, or is missing.
    }
  }
  return undefined;
}
