import {
  close,
  closeSync,
  constants,
  fchmodSync,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  ftruncateSync,
  lstatSync,
  openSync,
  renameSync,
  type Stats,
  writeSync,
} from 'node:fs';
import { BrokerError } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
import { readFirstSeq, readTail } from './tail.ts';
import { rotatedPath, lastRotatedSeq, prune } from './rotated-files.ts';

export interface TrailFileOptions {
  readonly file: string;
  readonly maxBytes: number;
  /** The number of rotated files that are kept. */
  readonly keep: number;
  readonly log: Logger;
}

/** The file of a trail. Every call throws the system's error, and may be repeated after that. */
export interface TrailFile {
  /**
   * Opens it, unless it is open and was not removed.
   * @returns the number of the last line, in it or in a rotated file, if it was opened now; else undefined.
   */
  open(): number | undefined;
  /** Rotates it if `bytes` more do not fit. Its next line has the number `seq`. */
  makeRoom(bytes: number, seq: number): void;
  /** Writes bytes to the system; returns how many it accepted. */
  append(bytes: Uint8Array): number;
  /** The number of further bytes that fit. */
  room(): number;
  /** Closes it, since its name may lead to another file by now. */
  forget(): void;
  /** Syncs it to the disk, and closes it. */
  close(): void;
}

interface OpenFile {
  readonly fd: number;
  size: number;
  firstSeq: number | undefined;
}

/** The pause after a failed rotation, in milliseconds. */
const RETRY_MS = 1000;

export function createTrailFile({ file, maxBytes, keep, log }: TrailFileOptions): TrailFile {
  let current: OpenFile | undefined;
  let rotateAt = -Infinity;
  let rotationProblem: string | undefined;

  function opened(): OpenFile {
    if (!current) throw new Error('it is not open');
    return current;
  }

  /** Whether the open file has no name any more: lines written there are lost. */
  function isRemoved({ fd }: OpenFile): boolean {
    return process.platform !== 'win32' && fstatSync(fd).nlink === 0;
  }

  function open(): number | undefined {
    if (current && !isRemoved(current)) return undefined;
    if (current) {
      log.warn('the audit trail was removed; a new one begins', { file });
      forget();
    }
    const { O_RDWR, O_APPEND, O_CREAT } = constants;
    // A pipe of that name must not block the broker.
    const fd = openItself(O_RDWR | O_APPEND | O_CREAT | unixFlags());
    try {
      const stats = fstatSync(fd);
      checkOwn(stats, file);
      closeToOthers(fd, stats);
      const tail = stats.size === 0 ? { seq: 0, bytes: 0 } : readTail(fd, stats.size);
      if (!tail)
        throw new BrokerError(
          'invalid_config',
          'it is no audit trail, and is left as it is: move it away, or give another path',
        );
      if (tail.bytes < stats.size) {
        ftruncateSync(fd, tail.bytes);
        const bytes = stats.size - tail.bytes;
        log.warn(
          'the audit trail ended in an incomplete line, as a crash of the system leaves it; the line was cut off',
          {
            file,
            bytes,
          },
        );
      }
      const before = tail.seq === 0 ? lastRotatedSeq(file) : tail.seq;
      current = { fd, size: tail.bytes, firstSeq: readFirstSeq(fd, tail.bytes) };
      return before;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  function openItself(flags: number): number {
    try {
      return openSync(file, flags, 0o600);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ELOOP') throw error;
      const problem = 'it is a symbolic link: give the path of the file itself';
      throw new BrokerError('invalid_config', problem);
    }
  }

  function closeToOthers(fd: number, { mode }: Stats): void {
    if (process.platform === 'win32' || (mode & 0o007) === 0) return;
    fchmodSync(fd, mode & 0o770);
    log.warn('other users of this host could read the audit trail; they cannot any more', { file });
  }

  function forget(): void {
    if (!current) return;
    const { fd } = current;
    current = undefined;
    try {
      closeSync(fd);
    } catch (error) {
      log.warn('the audit trail may not be whole up to here', { file, error: reasonOf(error) });
    }
  }

  function putAside({ fd, firstSeq }: OpenFile, seq: number): void {
    const aside = rotatedPath(file, firstSeq ?? seq);
    if (lstatSync(aside, { throwIfNoEntry: false }))
      throw new BrokerError('invalid_config', `${aside} exists already: move it away`);
    renameSync(file, aside);
    current = undefined;
    // This runs while the next lines are written, since a disk may be slow to sync.
    fdatasync(fd, (unsynced) => {
      // A file server may report a full disk only here. An uncaught error would end the broker.
      close(fd, (unclosed) => {
        const error = unsynced ?? unclosed;
        if (error)
          log.warn('an audit trail that was put aside may not be on the disk', { error: reasonOf(error) });
      });
    });
    try {
      prune(file, keep);
    } catch (error) {
      log.warn('old audit trails could not be removed', { file, error: reasonOf(error) });
    }
  }

  return {
    open,
    makeRoom(bytes, seq) {
      const now = opened();
      now.firstSeq ??= seq;
      if (now.size === 0 || now.size + bytes <= maxBytes || performance.now() < rotateAt) return;
      try {
        putAside(now, seq);
        rotationProblem = undefined;
      } catch (error) {
        // It grows beyond its limit, so that no line is lost.
        rotateAt = performance.now() + RETRY_MS;
        const reason = reasonOf(error);
        if (rotationProblem === undefined) log.error('the audit trail cannot be put aside', { file, reason });
        rotationProblem = reason;
        return;
      }
      open();
      opened().firstSeq = seq;
    },
    append(bytes) {
      const now = opened();
      const written = writeSync(now.fd, bytes);
      now.size += written;
      return written;
    },
    room: () => maxBytes - opened().size,
    forget,
    close() {
      if (!current) return;
      fdatasyncSync(current.fd);
      forget();
    },
  };
}

/** Windows has neither flag. */
function unixFlags(): number {
  const { O_NOFOLLOW, O_NONBLOCK } = constants;
  return process.platform === 'win32' ? 0 : O_NOFOLLOW | O_NONBLOCK;
}

/**
 * Checks that the file is the broker's own. Otherwise another user could choose a file that the broker then
 * writes to.
 */
function checkOwn(stats: Stats, file: string): void {
  const problem = !stats.isFile()
    ? 'it is no file'
    : process.platform === 'win32'
      ? undefined
      : stats.nlink > 1
        ? 'it has another name too (a hard link)'
        : isForeign(stats)
          ? 'it belongs to another user'
          : undefined;
  if (problem !== undefined)
    throw new BrokerError('invalid_config', `${problem}: move ${file} away, or give another path`);
}

function isForeign({ uid }: Stats): boolean {
  const own = process.geteuid?.();
  return own !== undefined && own !== 0 && uid !== own;
}
