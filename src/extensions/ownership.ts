import type { Stats } from 'node:fs';
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';

/**
 * Whoever may write what an extension loads runs things as the broker's user. Which of its neighbours an extension loads
 * cannot be known beforehand, so all that its directory holds counts: helpers, packages, byte code.
 */

/** More than this is not looked through; a directory with some packages has a tenth of it. */
const MAX_ENTRIES = 200_000;
/** What a runtime looks for in every folder above a file that it loads. */
const LOADED_FROM_ABOVE = ['node_modules', 'package.json'];

/**
 * Why others than the broker's user and root could have written it, as words to follow a name; nothing when they could not.
 * @param isSticky whether a folder that all may write, but in which nobody may replace what is another's, will do.
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
 * Looks through all that an extension could load from its directory and from above it, and gives the first thing that others
 * could have written, with the reason; nothing when there is none. Always nothing on Windows.
 * @param root the directory's real path; whether it is safe itself is not looked at.
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
      return `its directory holds more than ${MAX_ENTRIES} files, too many to see that nobody else may write them`;
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
  // The mode of a link says nothing; where it leads does. A link that leads nowhere loads nothing.
  const real = link.isSymbolicLink() ? await present(realpath(at)) : at;
  const info = real === undefined ? undefined : await present(stat(real));
  if (real === undefined || info === undefined) return {};
  if (info.isDirectory() && isBeingInstalled(path.basename(at), info)) return {};
  const reason = writableByOthers(info) ?? (link.isSymbolicLink() ? await unsafeWayTo(real) : undefined);
  if (reason !== undefined) return { reason: `${shown}, which it may load, ${reason}` };
  return info.isDirectory() ? { folder: real } : {};
}

/** What is put in place, beside what is there, in a folder that nobody else can enter. */
function isBeingInstalled(name: string, { mode, uid }: Stats): boolean {
  return name.startsWith('.') && (mode & 0o077) === 0 && (uid === 0 || uid === process.geteuid?.());
}

/** A file that a link leads to can be replaced by whoever may write a folder on the way. */
async function unsafeWayTo(real: string): Promise<string | undefined> {
  for (let folder = path.dirname(real), last = real; folder !== last; folder = path.dirname(folder)) {
    last = folder;
    const info = await present(stat(folder));
    const reason = info && writableByOthers(info, true);
    if (reason !== undefined) return `leads to ${real}: ${folder} ${reason}`;
  }
  return undefined;
}

/** Nothing for what is not there, or has gone while it was looked at. */
async function present<T>(looking: Promise<T>): Promise<T | undefined> {
  try {
    return await looking;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}
