import path from 'node:path';
import { runtime } from '#runtime';
import { BrokerError } from '../../protocol/errors.ts';

/** A lock older than this was left by a program that died: changing the file takes milliseconds. */
const STALE_MS = 5000;
/**
 * Time limit of the wait for the lock, in milliseconds. The lock of a dead program is taken over within it.
 */
const PATIENCE_MS = 10_000;

interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Changes a small file of the user. Several programs may change it at once, and a reader always sees a whole
 * text. A lock file keeps writers apart; a rename puts the new text in place. A symbolic link is followed.
 * @param edit makes the new text from the present one, `''` if there is no file; `undefined` leaves the file
 * as it is.
 * @throws the system's error.
 * @throws BrokerError `unavailable` when another program holds the lock for too long.
 */
export function changeFile(file: string, edit: (text: string) => string | undefined): void {
  const fs = runtime.fs();
  fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
  const target = realPath(file);
  const lock = `${target}.lock`;
  const token = `${process.pid}-${Math.random().toString(36).slice(2)}`;
  const deadline = performance.now() + PATIENCE_MS;
  for (;;) {
    takeLock(lock, token, deadline);
    try {
      const text = edit(readIfThere(target));
      if (text === undefined) return;
      const temporary = `${target}.${token}.tmp`;
      try {
        writeNew(temporary, text, ownerFor(target));
        // A program that was stopped for long may have lost its lock. Then the text that it read is old.
        if (readIfThere(lock) !== token) continue;
        patiently(() => fs.renameSync(temporary, target), deadline);
        return;
      } finally {
        fs.rmSync(temporary, { force: true });
      }
    } finally {
      if (readIfThere(lock) === token) fs.rmSync(lock, { force: true });
    }
  }
}

function takeLock(lock: string, token: string, deadline: number): void {
  const fs = runtime.fs();
  for (;;) {
    try {
      writeNew(lock, token);
      return;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST' && !isPassing(error, deadline)) throw error;
    }
    if (isStale(lock)) {
      // The lock is renamed before it is removed: of several programs that find it, only one succeeds.
      const dead = `${lock}.${token}`;
      try {
        fs.renameSync(lock, dead);
        fs.rmSync(dead, { force: true });
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
      continue;
    }
    if (performance.now() > deadline) {
      throw new BrokerError(
        'unavailable',
        `Another program has held ${lock} for ${PATIENCE_MS / 1000} s; if none runs, remove it`,
      );
    }
    pause();
  }
}

function pause(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 + Math.random() * 10);
}

/** On Windows a reader, a scanner or an unfinished removal may hold a file for a moment. */
function isPassing(error: unknown, deadline: number): boolean {
  const { code = '' } = error as NodeJS.ErrnoException;
  return (
    process.platform === 'win32' &&
    ['EPERM', 'EACCES', 'EBUSY'].includes(code) &&
    performance.now() < deadline
  );
}

function patiently(work: () => void, deadline: number): void {
  for (;;) {
    try {
      work();
      return;
    } catch (error) {
      if (!isPassing(error, deadline)) throw error;
      pause();
    }
  }
}

/** Whether a lock's time is long ago, or in the future (the clock was set back). */
function isStale(lock: string): boolean {
  try {
    return Math.abs(Date.now() - runtime.fs().statSync(lock).mtimeMs) > STALE_MS;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}

/** For root, who may work in another user's home (`sudo`): the owner of the file, or else of its folder. */
function ownerFor(target: string): Owner | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const { statSync } = runtime.fs();
  try {
    return statSync(target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return statSync(path.dirname(target));
  }
}

/** Makes a file with all of `text`, or none. */
function writeNew(file: string, text: string, owner?: Owner): void {
  const fs = runtime.fs();
  const fd = fs.openSync(file, 'wx', 0o600);
  let isWhole = false;
  try {
    if (owner) fs.fchownSync(fd, owner.uid, owner.gid);
    let rest: Uint8Array = Buffer.from(text);
    // A disk that is nearly full takes a part of it.
    while (rest.byteLength > 0) rest = rest.subarray(fs.writeSync(fd, rest));
    fs.fsyncSync(fd);
    isWhole = true;
  } finally {
    fs.closeSync(fd);
    if (!isWhole) fs.rmSync(file, { force: true });
  }
}

function readIfThere(file: string): string {
  try {
    return runtime.fs().readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function realPath(file: string): string {
  try {
    return runtime.fs().realpathSync(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return file;
    throw error;
  }
}
