import type NodeFs from 'node:fs';
import type { Runtime } from '../runtime.ts';
import { writeAll } from '../stdio/write-all.ts';

/**
 * The longest text that a pipe takes whole or not at all, on every system, in bytes: `_POSIX_PIPE_BUF` of
 * POSIX, the smallest allowed PIPE_BUF.
 */
const ATOMIC_BYTES = 512;

/**
 * The pause before another write to a full pipe that another program has made non-blocking, in milliseconds.
 */
const RETRY_MS = 50;

// Loading it takes a tenth of a client command's time, and few commands need it.
const fs = (): typeof NodeFs => require('node:fs') as typeof NodeFs;

/** Files and standard output on Bun, as far as a client command needs them before it has its answer. */
export const bunFiles: Pick<Runtime, 'fs' | 'readText' | 'write' | 'writeErrorLater' | 'print'> = {
  fs,
  readText(file) {
    try {
      // The text is copied at once, since the file may be shortened later.
      return Buffer.from(Bun.mmap(file).buffer).toString('utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') throw error;
      // An empty file, a pipe, or a system that cannot map files.
      return fs().readFileSync(file, 'utf8');
    }
  },
  write: (fd, bytes) => fs().writeSync(fd, bytes),
  // Writes in another thread. Bun does not wait for it when it exits; Node would wait forever.
  writeErrorLater(bytes, done) {
    const go = (rest: Uint8Array): void => {
      fs().write(2, rest, (error, written) => {
        if (!error && written < rest.byteLength) go(rest.subarray(written));
        else if (error?.code === 'EAGAIN') setTimeout(go, RETRY_MS, rest).unref();
        else done(!error);
      });
    };
    go(bytes);
  },
  async print(text) {
    const bytes = Buffer.from(text);
    // If a full pipe took a part, Bun would write the text again from the start.
    if (bytes.length > ATOMIC_BYTES) writeAll(fs().writeSync, 1, bytes);
    else await Bun.write(Bun.stdout, bytes);
  },
};
