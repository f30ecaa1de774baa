import { fdatasync, ftruncate, statSync, write, writeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { placeFile } from '../../config/atomic-write.ts';
import { encodeFrame, encodeHeader } from './frames.ts';
import { journalPath } from './journal-files.ts';

/** The journal that is being written. */
export interface Journal {
  readonly path: string;
  /** The registry's revision before its first record. */
  readonly base: number;
  /** Bytes up to the end of the last frame that is durable. */
  readonly size: number;
  /** Whether it holds a frame. */
  readonly used: boolean;
  /**
   * Appends one frame, makes it durable, and looks whether the file still has its name; one call at a time. What a
   * failure means: `committer.ts`.
   */
  append(records: readonly string[], recordBytes: number, done: (failure?: AppendFailure) => void): void;
  /** Cuts off, durably, what a failed write left behind the last durable frame. */
  rollback(done: (error: Error | null) => void): void;
  /** Whether the file that is written to is still the one of its name: `missing` and `replaced` lose what is written. */
  link(): JournalLink;
  close(): Promise<void>;
}

export type JournalLink = 'own' | 'missing' | 'replaced';

export interface AppendFailure {
  readonly step: 'write' | 'sync' | 'link';
  readonly error: NodeJS.ErrnoException;
}

// A short write goes to the page cache at the cost of a copy; a turn through the thread pool costs ten times that.
const SYNCHRONOUS_BYTES = 64 * 1024;

/** Creates the journal of what follows `base`; it gets its name only once its header is durable. */
export async function createJournal(
  file: string,
  registry: string,
  base: number,
  onStep: (step: string) => void,
): Promise<Journal> {
  const path = journalPath(file, base);
  const { text, seed } = encodeHeader({ registry, base });
  const { handle, bytes } = await placeFile(path, [text], {
    mode: 0o600,
    onStep: (step) => onStep(`journal-${step}`),
  });
  try {
    return await openJournal(handle, { path, base, seed, headerBytes: bytes });
  } catch (error) {
    await Promise.allSettled([handle.close()]);
    throw error;
  }
}

interface NewJournal {
  readonly path: string;
  readonly base: number;
  readonly seed: number;
  readonly headerBytes: number;
}

async function openJournal(
  handle: FileHandle,
  { path, base, seed, headerBytes }: NewJournal,
): Promise<Journal> {
  const { fd } = handle;
  const own = await handle.stat();
  let size = headerBytes;

  function link(): JournalLink {
    const named = statSync(path, { throwIfNoEntry: false });
    if (named === undefined) return 'missing';
    // Windows numbers files anew at each look, so nothing can be told by the number there.
    if (process.platform === 'win32' || (named.ino === own.ino && named.dev === own.dev)) return 'own';
    return 'replaced';
  }

  function writeFrom(frame: Buffer, done: number, then: (failure?: AppendFailure) => void): void {
    write(fd, frame, done, frame.length - done, size + done, (error, written) => {
      if (error) then({ step: 'write', error });
      else if (written === 0) then({ step: 'write', error: nothingWritten(path) });
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
        const written = writeSync(fd, frame, done, frame.length - done, size + done);
        if (written === 0) throw nothingWritten(path);
        done += written;
      }
    } catch (error) {
      then({ step: 'write', error: error as NodeJS.ErrnoException });
      return;
    }
    then();
  }

  /** A file that has lost its name is durable for nobody. */
  function linkFailure(): AppendFailure | undefined {
    try {
      const state = link();
      if (state === 'own') return undefined;
      return {
        step: 'link',
        error: new Error(`${path} was ${state === 'missing' ? 'removed' : 'replaced'}`),
      };
    } catch (error) {
      return { step: 'link', error: error as NodeJS.ErrnoException };
    }
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
          const problem: AppendFailure | undefined = error ? { step: 'sync', error } : linkFailure();
          if (problem === undefined) size += frame.length;
          done(problem);
        });
      });
    },
    rollback(done) {
      ftruncate(fd, size, (error) => {
        if (error) done(error);
        else fdatasync(fd, done);
      });
    },
    link,
    close: () => handle.close(),
  };
}

function nothingWritten(path: string): Error {
  return new Error(`the system took no byte of a write to ${path}`);
}
