import type { Stats } from 'node:fs';
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * A user who can write a file that an extension loads can run code as the broker's user. Which files beside
 * it an extension loads cannot be known beforehand. So all files of its directory count: helpers, packages,
 * byte code.
 */

/** The most files that are checked; a directory with some packages has a tenth of them. */
const MAX_ENTRIES = 200_000;
/**
 * The names that a runtime looks for in every folder above a file that it loads. The last two can name another
 * file for a package on Bun (`paths`).
 */
const LOADED_FROM_ABOVE = ['node_modules', 'package.json', 'tsconfig.json', 'jsconfig.json'];

/**
 * Says how others than the broker's user and root could have written it, in words that follow a name;
 * undefined when they could not.
 * @param isSticky whether a folder is enough that all may write, but in which only owners can replace files.
 */
export function writableByOthers({ mode, uid }: Stats, isSticky = false): string | undefined {
  if ((mode & 0o022) !== 0 && !(isSticky && (mode & 0o1000) !== 0)) {
    const bits = (mode & 0o777).toString(8);
    return `can be written by others (mode ${bits}); take that away with chmod go-w`;
  }
  if (uid !== 0 && uid !== process.geteuid?.()) {
    return `belongs to another user (uid ${uid}); chown it to the broker's`;
  }
  return undefined;
}

/**
 * Checks all files that an extension could load from its directory and from above it. Returns the first one
 * that others could have written, with the reason; undefined when there is none, and always on Windows.
 * @param root the directory's real path, which is not itself checked.
 */
export async function unsafePart(root: string): Promise<string | undefined> {
  if (process.platform === 'win32') return undefined;
  return (await unsafeAbove(root)) ?? unsafeWithin(root);
}

async function unsafeAbove(root: string): Promise<string | undefined> {
  for (let folder = path.dirname(root), last = root; folder !== last; folder = path.dirname(folder)) {
    last = folder;
    for (const name of LOADED_FROM_ABOVE) {
      const at = path.join(folder, name);
      const reason = await present(stat(at)).then((info) => info && writableByOthers(info));
      if (reason !== undefined) return `${at}, which it may load, ${reason}`;
    }
  }
  return undefined;
}

async function unsafeWithin(root: string): Promise<string | undefined> {
  const folders = [root];
  const seen = new Set(folders);
  let entries = 0;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const names = (await present(readdir(folder))) ?? [];
    entries += names.length;
    if (entries > MAX_ENTRIES) {
      return `its directory holds more than ${MAX_ENTRIES} files, too many to check that no other user may write them`;
    }
    const found = await Promise.all(names.map((name) => lookAt(root, path.join(folder, name))));
    for (const { reason, folder: below } of found) {
      if (reason !== undefined) return reason;
      if (below === undefined || seen.has(below)) continue;
      seen.add(below);
      folders.push(below);
    }
  }
  return undefined;
}

interface Look {
  readonly reason?: string;
  /** A folder to look into. */
  readonly folder?: string;
}

async function lookAt(root: string, at: string): Promise<Look> {
  const shown = at.startsWith(root + path.sep) ? path.relative(root, at) : at;
  const link = await present(lstat(at));
  if (!link) return {};
  // The mode of a link means nothing, that of its target does. A link without a target loads nothing.
  const real = link.isSymbolicLink() ? await present(realpath(at)) : at;
  const info = real === undefined ? undefined : await present(stat(real));
  if (real === undefined || info === undefined) return {};
  if (info.isDirectory() && isBeingInstalled(path.basename(at), info)) return {};
  const reason = writableByOthers(info) ?? (link.isSymbolicLink() ? await unsafeWayTo(real) : undefined);
  if (reason !== undefined) return { reason: `${shown}, which it may load, ${reason}` };
  return info.isDirectory() ? { folder: real } : {};
}

/** Whether it is the folder of an installation in progress, which no other user can enter. */
function isBeingInstalled(name: string, { mode, uid }: Stats): boolean {
  return name.startsWith('.') && (mode & 0o077) === 0 && (uid === 0 || uid === process.geteuid?.());
}

/** A user who can write a folder on the way to a link's target can replace that file. */
async function unsafeWayTo(real: string): Promise<string | undefined> {
  for (let folder = path.dirname(real), last = real; folder !== last; folder = path.dirname(folder)) {
    last = folder;
    const info = await present(stat(folder));
    const reason = info && writableByOthers(info, true);
    if (reason !== undefined) return `leads to ${real}: ${folder} ${reason}`;
  }
  return undefined;
}

/** The result of a look; undefined where the file is missing, or has been removed meanwhile, or links lead in a circle. */
async function present<T>(looking: Promise<T>): Promise<T | undefined> {
  try {
    return await looking;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return undefined;
    throw error;
  }
}
