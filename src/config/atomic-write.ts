import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { BrokerError } from '../protocol/errors.ts';

/** The pieces of a file's content: text or bytes. */
export type Chunks = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

export interface ReplaceOptions {
  /** The mode of the file; default: that of the file it replaces, 0600 for a new one. */
  readonly mode?: number;
  /** A file whose owner the new file gets, where the system allows it; default: the file that it replaces. */
  readonly ownerOf?: string;
  /**
   * Called before each step that changes the disk: `write`, `sync`, `rename`, `sync-directory`, and at the
   * end `done`.
   */
  readonly onStep?: (step: string) => void;
}

const WRITE_BYTES = 64 * 1024;
// A big file is written out piece by piece, or its one sync at the end would delay the journal's syncs.
const SYNC_EVERY_BYTES = 8 * 1024 * 1024;
const mayNotChown: ReadonlySet<string> = new Set(['EPERM', 'EINVAL', 'ENOTSUP', 'ENOSYS']);
const leftover = /\.tmp-[0-9a-f]{16}$/;

/**
 * Writes a file whole or not at all: temporary file in the same folder (`O_EXCL`), fsync, rename, fsync of
 * the folder. After a failure the temporary file is removed and the file is what it was before. Only when the
 * folder's fsync fails, it may already be the new one. An existing file's owner is kept where the system
 * allows it.
 * @returns the number of bytes written.
 * @throws the system's error; that of a sync has `syscall` `fsync` or `fdatasync`.
 */
export async function replaceFile(
  file: string,
  chunks: Chunks,
  options: ReplaceOptions = {},
): Promise<number> {
  const { handle, bytes } = await placeFile(file, chunks, options);
  await handle.close();
  return bytes;
}

/**
 * As {@link replaceFile}, but leaves the new file open. A caller that goes on writing then needs no second
 * descriptor, which the system might refuse after the old file is gone.
 */
export async function placeFile(
  file: string,
  chunks: Chunks,
  options: ReplaceOptions = {},
): Promise<{ handle: FileHandle; bytes: number }> {
  const step = options.onStep ?? ((): void => undefined);
  const present = await ifPresent(stat(file));
  const mode = options.mode ?? (present ? present.mode & 0o777 : 0o600);
  const temp = `${file}.tmp-${randomBytes(8).toString('hex')}`;
  let handle: FileHandle | undefined;
  try {
    handle = await open(temp, 'wx', mode);
    // The umask may have removed bits that the replaced file has.
    await handle.chmod(mode);
    const model = options.ownerOf === undefined ? present : await ifPresent(stat(options.ownerOf));
    if (model) await keepOwner(handle, model);
    step('write');
    const bytes = await writeChunks(handle, chunks);
    step('sync');
    await handle.sync().catch(rethrowSync);
    step('rename');
    await renameOver(temp, file);
    step('sync-directory');
    await syncDirectory(path.dirname(file));
    step('done');
    return { handle, bytes };
  } catch (error) {
    await discard(temp, handle);
    throw error;
  }
}

/** Cleans up after a failure, whose error is the one to report. The next start removes what this cannot. */
async function discard(temp: string, handle: FileHandle | undefined): Promise<void> {
  await Promise.allSettled([handle?.close()]);
  await Promise.allSettled([rm(temp, { force: true })]);
}

/** The result of a look at a path; undefined where no such file exists. */
export async function ifPresent<T>(look: Promise<T>): Promise<T | undefined> {
  try {
    return await look;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Makes the names in a folder durable. Windows has no such call and does not need it. */
export async function syncDirectory(dir: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(dir, 'r');
  try {
    await handle.sync().catch(rethrowSync);
  } finally {
    await handle.close();
  }
}

/**
 * Removes the temporary files that a crash during {@link replaceFile} left: those of `file`, and those of
 * files whose names begin with its name and a dot.
 */
export async function removeLeftovers(file: string): Promise<void> {
  const dir = path.dirname(file);
  const start = `${path.basename(file)}.`;
  for (const name of (await ifPresent(readdir(dir))) ?? []) {
    if (name.startsWith(start) && leftover.test(name)) await rm(path.join(dir, name), { force: true });
  }
}

/**
 * The absolute path of `file` with symbolic links followed. Root does not follow them, since a link could
 * make it write elsewhere.
 * @throws BrokerError `invalid_config` for a link when running as root.
 */
export async function resolveFile(file: string): Promise<string> {
  const absolute = path.resolve(file);
  const present = await ifPresent(lstat(absolute));
  if (!present?.isSymbolicLink()) return absolute;
  if (runsAsRoot()) {
    throw new BrokerError(
      'invalid_config',
      `${absolute} is a symbolic link, which is refused when running as root; give the path of the file itself`,
    );
  }
  return await realpath(absolute);
}

/** Whether this process runs as root; false on Windows. */
export function runsAsRoot(): boolean {
  return process.getuid?.() === 0;
}

async function writeChunks(handle: FileHandle, chunks: Chunks): Promise<number> {
  let written = 0;
  let synced = 0;
  let text = '';
  for await (const chunk of chunks) {
    if (typeof chunk === 'string') text += chunk;
    else {
      written += await writeAll(handle, Buffer.from(text));
      written += await writeAll(handle, chunk);
      text = '';
    }
    if (text.length < WRITE_BYTES && written - synced <= SYNC_EVERY_BYTES) continue;
    written += await writeAll(handle, Buffer.from(text));
    text = '';
    if (written - synced > SYNC_EVERY_BYTES) {
      await handle.datasync().catch(rethrowSync);
      synced = written;
    }
  }
  return written + (await writeAll(handle, Buffer.from(text)));
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<number> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done);
    if (bytesWritten === 0) throw new Error('the system wrote no byte');
    done += bytesWritten;
  }
  return bytes.length;
}

/**
 * Deno's errors do not name the failed call; a failed sync must be distinguishable from any other failure.
 */
function rethrowSync(error: NodeJS.ErrnoException): never {
  error.syscall ??= 'fsync';
  throw error;
}

async function keepOwner(handle: FileHandle, present: { uid: number; gid: number }): Promise<void> {
  if (process.getuid === undefined) return;
  if (present.uid === process.getuid() && present.gid === process.getgid?.()) return;
  await handle.chown(present.uid, present.gid).catch((error: NodeJS.ErrnoException) => {
    // Only root may change a file's owner, and not on every file system.
    if (!mayNotChown.has(error.code ?? '')) throw error;
  });
}

/** On Windows a scanner or an indexer may hold the file for a moment. */
async function renameOver(from: string, to: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await rename(from, to);
      return;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      const passing =
        process.platform === 'win32' && (code === 'EPERM' || code === 'EACCES' || code === 'EBUSY');
      if (!passing || attempt === 20) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, 10 * attempt);
      });
    }
  }
}
