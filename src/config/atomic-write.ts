import { randomBytes } from 'node:crypto';
import { type FileHandle, lstat, open, readdir, realpath, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { BrokerError } from '../protocol/errors.ts';

/** Pieces of a file's content: text, or bytes as they are. */
export type Chunks = Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>;

export interface ReplaceOptions {
  /** Mode of the file; default: that of the file it replaces, 0600 for a new one. */
  readonly mode?: number;
  /** Give the file the owner of this one, where the system allows it; default: of the file that it replaces. */
  readonly ownerOf?: string;
  /** Told before each step that changes the disk: `write`, `sync`, `rename`, `sync-directory`, and at the end `done`. */
  readonly onStep?: (step: string) => void;
}

const WRITE_BYTES = 64 * 1024;
// A big file is pushed out piece by piece, so that its one sync at the end does not hold up the journal's syncs.
const SYNC_EVERY_BYTES = 8 * 1024 * 1024;
const mayNotChown: ReadonlySet<string> = new Set(['EPERM', 'EINVAL', 'ENOTSUP', 'ENOSYS']);
const leftover = /\.tmp-[0-9a-f]{16}$/;

/**
 * Puts a file in place whole or not at all: temporary file in the same folder (`O_EXCL`), fsync, rename, fsync of the
 * folder. On failure the temporary file is removed and the file at `file` is what it was; only when the folder's fsync
 * fails may it be the new one already. An existing file's owner is kept where the system allows it.
 * Returns the bytes written. Throws the system's error; that of a sync has `syscall` `fsync` or `fdatasync`.
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
 * As {@link replaceFile}, and leaves the new file open: whoever writes on to it needs no descriptor that the system may
 * refuse once the old file is gone.
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
    // The umask may have taken bits that the file it replaces has.
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

/** Clears up after a failure, whose error counts: what cannot be removed now, the next start removes. */
async function discard(temp: string, handle: FileHandle | undefined): Promise<void> {
  await Promise.allSettled([handle?.close()]);
  await Promise.allSettled([rm(temp, { force: true })]);
}

/** What a look at a path gives; nothing where there is no such file. */
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

/** Removes what a crash during {@link replaceFile} left of `file` and of files whose names begin with its name and a dot. */
export async function removeLeftovers(file: string): Promise<void> {
  const dir = path.dirname(file);
  const start = `${path.basename(file)}.`;
  for (const name of (await ifPresent(readdir(dir))) ?? []) {
    if (name.startsWith(start) && leftover.test(name)) await rm(path.join(dir, name), { force: true });
  }
}

/**
 * The absolute path at which `file` really is: symbolic links are followed, except by root, who must not be led to
 * write elsewhere. Throws `invalid_config` for a link when running as root.
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
    if (bytesWritten === 0) throw new Error('the system took no byte of a write');
    done += bytesWritten;
  }
  return bytes.length;
}

/** Deno's errors do not say which call failed; a failed sync must be known from any other failure. */
function rethrowSync(error: NodeJS.ErrnoException): never {
  error.syscall ??= 'fsync';
  throw error;
}

async function keepOwner(handle: FileHandle, present: { uid: number; gid: number }): Promise<void> {
  if (process.getuid === undefined) return;
  if (present.uid === process.getuid() && present.gid === process.getgid?.()) return;
  await handle.chown(present.uid, present.gid).catch((error: NodeJS.ErrnoException) => {
    // Only root may give a file away, and not on every file system.
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
