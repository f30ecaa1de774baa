import { pauseSync } from './pause.ts';

const CHUNK_BYTES = 64 * 1024;

/**
 * Reads to the end before it returns, as long as that takes.
 * @param read reads some bytes into the buffer, and returns how many; 0 at the end.
 * @throws the system's error, such as `EISDIR`.
 */
export function readAll(read: (into: Uint8Array) => number): Uint8Array {
  const chunks: Uint8Array[] = [];
  for (;;) {
    const chunk = new Uint8Array(CHUNK_BYTES);
    const bytes = readSome(read, chunk);
    if (bytes === 0) return Buffer.concat(chunks);
    chunks.push(chunk.subarray(0, bytes));
  }
}

function readSome(read: (into: Uint8Array) => number, chunk: Uint8Array): number {
  for (;;) {
    try {
      return read(chunk);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // The end of a pipe, on Windows.
      if (code === 'EOF') return 0;
      // A pipe that another program has made non-blocking is empty; its writer goes on or closes it.
      if (code !== 'EAGAIN') throw error;
      pauseSync();
    }
  }
}
