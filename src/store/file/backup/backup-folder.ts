import { constants, type Dirent } from 'node:fs';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { ifPresent, runsAsRoot } from '../../../config/atomic-write.ts';

/** A backup of one configuration file in its folder; backups of other files may be beside it. */
export interface BackupFile {
  readonly path: string;
  /** The time in its name; milliseconds of Unix time. */
  readonly taken: number;
  /** The registry's revision of this state. */
  readonly revision: number;
}

// The age of a partial backup that a crash has left, in milliseconds. A partial file of a running process is
// younger.
const ABANDONED_MS = 600_000;

/**
 * The backups of `file` in `dir`, in the order in which they were made; empty where there is no such folder.
 */
export async function listBackups(dir: string, file: string): Promise<BackupFile[]> {
  const start = `${stemOf(file)}-`;
  const found: BackupFile[] = [];
  for (const item of await itemsOf(dir)) {
    if (!item.isFile() || !item.name.startsWith(start)) continue;
    const match = /^(\d{8}T\d{9}Z)-r(\d{16})\.json$/.exec(item.name.slice(start.length));
    if (match === null) continue;
    const [, stamp = '', revision = ''] = match;
    found.push({ path: path.join(dir, item.name), taken: timeOf(stamp), revision: Number(revision) });
  }
  return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * Creates a folder for files that belong to `file`, readable only by the owner of that file, unless it
 * exists.
 */
export async function makeFolder(dir: string, file: string): Promise<void> {
  const made = await mkdir(dir, { recursive: true, mode: 0o700 });
  const model = made === undefined || !runsAsRoot() ? undefined : await ifPresent(stat(file));
  if (!model) return;
  // It works on an open folder, not on a path: the owner of the place could put a link there meanwhile, and
  // root would change the owner of its target.
  const folder = await open(dir, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    await folder.chown(model.uid, model.gid);
  } finally {
    await folder.close();
  }
}

/**
 * The path for a backup made now. Names sort in the order in which backups are made, also after the clock was
 * set back. The time in the name is then that of the latest one plus a millisecond.
 */
export function backupPath(
  dir: string,
  file: string,
  latest: BackupFile | undefined,
  revision: number,
): string {
  const taken = Math.max(Date.now(), (latest?.taken ?? 0) + 1);
  return path.join(dir, `${stemOf(file)}-${stampOf(taken)}-r${String(revision).padStart(16, '0')}.json`);
}

/** The folder in which a restore keeps the state that it replaces. */
export function replacedPath(dir: string, file: string): string {
  return path.join(dir, `${stemOf(file)}-replaced-${stampOf(Date.now())}`);
}

/**
 * Removes the oldest backups, except for `keep` of them (0: keeps all), and partial ones that crashes have
 * left.
 */
export async function pruneBackups(dir: string, file: string, keep: number): Promise<void> {
  const backups = await listBackups(dir, file);
  if (keep > 0) for (const { path: old } of backups.slice(0, -keep)) await rm(old, { force: true });
  const unfinished = /-\d{8}T\d{9}Z-r\d{16}\.json\.tmp-[0-9a-f]{16}$/;
  for (const { name } of await itemsOf(dir)) {
    if (!name.startsWith(`${stemOf(file)}-`) || !unfinished.test(name)) continue;
    const left = path.join(dir, name);
    // Another process may have completed or removed it meanwhile.
    const found = await ifPresent(stat(left));
    const age = found === undefined ? 0 : Math.abs(Date.now() - found.mtimeMs);
    if (age > ABANDONED_MS) await rm(left, { force: true });
  }
}

async function itemsOf(dir: string): Promise<Dirent[]> {
  return (await ifPresent(readdir(dir, { withFileTypes: true }))) ?? [];
}

function stemOf(file: string): string {
  return path.basename(file, '.json');
}

/** `20260131T120000123Z` */
function stampOf(ms: number): string {
  return new Date(ms).toISOString().replaceAll(/[-:.]/g, '');
}

function timeOf(stamp: string): number {
  return Date.parse(
    stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)(\d{3})Z$/, '$1-$2-$3T$4:$5:$6.$7Z'),
  );
}
