import { fdatasync, ftruncate, statSync, write, writeSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { placeFile } from '../../../config/atomic-write.ts';
import { isFull } from '../disk-errors.ts';
import { encodeFrame, encodeHeader, SPARE_BYTES } from './frames.ts';
import { journalPath } from './journal-files.ts';

/** The present journal. */
export interface Journal {
  readonly path: string;
  /** The registry's revision before its first record. */
  readonly base: number;
  /** The bytes up to the end of the last durable frame. */
  readonly size: number;
  /** Whether it holds a frame. */
  readonly used: boolean;
  /**
   * Appends one frame, makes it durable, and checks whether the file still has its name; one call at a time.
   * `committer.ts` says what a failure means.
   */
  append(records: readonly string[], recordBytes: number, done: (failure?: AppendFailure) => void): void;
  /** Cuts off durably the remains of a failed write after the last durable frame. */
  rollback(done: (error: Error | null) => void): void;
  /** Whether the open file still has its name: with `missing` and `replaced`, writes are lost. */
  link(): JournalLink;
  close(): Promise<void>;
}

export type JournalLink = 'own' | 'missing' | 'replaced';

export interface AppendFailure {
  readonly step: 'write' | 'sync' | 'link';
  readonly error: NodeJS.ErrnoException;
}

// A short write costs only a copy to the page cache; a turn through the thread pool costs ten times that.
const SYNCHRONOUS_BYTES = 64 * 1024;

const NULS = Buffer.alloc(SPARE_BYTES);

/** Creates the journal of the changes after `base`; it gets its name only once its header is durable. */
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
  /** A frame that ends beyond this makes the file grow. */
  let room = headerBytes;
  let failed = false;

  function link(): JournalLink {
    const named = statSync(path, { throwIfNoEntry: false });
    if (named === undefined) return 'missing';
    // Windows numbers files again at each look, so the number means nothing there.
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

  /**
   * Adds spare room. A sync of a grown file writes a record about the file too, and takes half as long again.
   * So when a frame makes the file grow, spare room is added for later frames. Where the disk has no room for
   * it, it is removed and tried again later.
   */
  function addSpare(end: number, then: (failure?: AppendFailure) => void): void {
    if (end <= room) {
      then();
      return;
    }
    room = end + SPARE_BYTES;
    write(fd, NULS, 0, SPARE_BYTES, end, (error, written) => {
      if (error && !isFull(error)) then({ step: 'write', error });
      else if (error || written < SPARE_BYTES) cutAt(end, then);
      else then();
    });
  }

  function cutAt(end: number, then: (failure?: AppendFailure) => void): void {
    ftruncate(fd, end, (error) => then(error ? { step: 'write', error } : undefined));
  }

  function writeWithSpare(frame: Buffer, then: (failure?: AppendFailure) => void): void {
    writeFrame(frame, (failure) => {
      if (failure) then(failure);
      else addSpare(size + frame.length, then);
    });
  }

  /** A file without its name is lost at the next start. */
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
      const end = (problem?: AppendFailure): void => {
        if (problem === undefined) size += frame.length;
        else failed = true;
        done(problem);
      };
      writeWithSpare(frame, (failure) => {
        if (failure) end(failure);
        else fdatasync(fd, (error) => end(error ? { step: 'sync', error } : linkFailure()));
      });
    },
    rollback(done) {
      room = size;
      ftruncate(fd, size, (error) => {
        if (error) {
          done(error);
          return;
        }
        failed = false;
        fdatasync(fd, done);
      });
    },
    link,
    async close() {
      try {
        // After a failed write the rest may be a whole frame, which only a restart can tell.
        if (room > size && !failed) await handle.truncate(size);
      } finally {
        await handle.close();
      }
    },
  };
}

function nothingWritten(path: string): Error {
  return new Error(`the system wrote no byte to ${path}`);
}
