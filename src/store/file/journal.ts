import { close, constants, existsSync, fdatasync, fstat, ftruncate, open, write, writeSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { replaceFile } from '../../config/atomic-write.ts';
import { encodeFrame, encodeHeader } from './frames.ts';
import { journalPath, noFollow } from './journal-files.ts';

/** The journal that is being written. */
export interface Journal {
  readonly path: string;
  /** The registry's revision before its first record. */
  readonly base: number;
  /** Bytes up to the end of the last frame that is durable. */
  readonly size: number;
  /** Whether it holds a frame. */
  readonly used: boolean;
  /** Appends one frame and makes it durable; one call at a time. Told `sync` failures are final: see `committer.ts`. */
  append(records: readonly string[], recordBytes: number, done: (failure?: AppendFailure) => void): void;
  /** Cuts off, durably, what a failed write left behind the last durable frame. */
  rollback(done: (error: Error | null) => void): void;
  /** Whether what is written to is still the file of that name. */
  stands(): Promise<boolean>;
  close(): Promise<void>;
}

export interface AppendFailure {
  readonly step: 'write' | 'sync';
  readonly error: NodeJS.ErrnoException;
}

// A short write goes to the page cache at the cost of a copy; a turn through the thread pool costs ten times that.
const SYNCHRONOUS_BYTES = 64 * 1024;

/** Creates the journal of what follows `base`; it stands under its name only once its header is durable. */
export async function createJournal(
  file: string,
  registry: string,
  base: number,
  onStep: (step: string) => void,
): Promise<Journal> {
  const path = journalPath(file, base);
  const { text, seed } = encodeHeader({ registry, base });
  await replaceFile(path, [text], { mode: 0o600, onStep: (step) => onStep(`journal-${step}`) });
  const fd = await promisify(open)(path, constants.O_WRONLY | noFollow);
  // Where the system numbers files anew at each look, nothing can be told by it.
  const isTold = await isNamed(fd, path);
  const headerBytes = Buffer.byteLength(text);
  let size = headerBytes;

  function writeFrom(frame: Buffer, done: number, then: (failure?: AppendFailure) => void): void {
    write(fd, frame, done, frame.length - done, size + done, (error, written) => {
      if (error) then({ step: 'write', error });
      else if (done + written < frame.length) writeFrom(frame, done + written, then);
      else then();
    });
  }

  function writeFrame(frame: Buffer, then: (failure?: AppendFailure) => void): void {
    if (frame.length > SYNCHRONOUS_BYTES) {
      writeFrom(frame, 0, then);
      return;
    }
    try {
      for (let done = 0; done < frame.length;) {
        done += writeSync(fd, frame, done, frame.length - done, size + done);
      }
    } catch (error) {
      then({ step: 'write', error: error as NodeJS.ErrnoException });
      return;
    }
    then();
  }

  return {
    path,
    base,
    get size(): number {
      return size;
    },
    get used(): boolean {
      return size > headerBytes;
    },
    append(records, recordBytes, done) {
      const frame = encodeFrame(records, recordBytes, seed);
      writeFrame(frame, (failure) => {
        if (failure) {
          done(failure);
          return;
        }
        fdatasync(fd, (error) => {
          if (error) {
            done({ step: 'sync', error });
            return;
          }
          size += frame.length;
          done();
        });
      });
    },
    rollback(done) {
      ftruncate(fd, size, (error) => {
        if (error) done(error);
        else fdatasync(fd, done);
      });
    },
    stands: async () => (isTold ? await isNamed(fd, path) : existsSync(path)),
    close: () => promisify(close)(fd),
  };
}

/** Whether an open file is the one that stands at `path`. */
async function isNamed(fd: number, path: string): Promise<boolean> {
  const own = await promisify(fstat)(fd);
  const named = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  return named?.ino === own.ino && named.dev === own.dev;
}
