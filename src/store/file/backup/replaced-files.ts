import { createReadStream } from 'node:fs';
import { copyFile, link, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '../../../config/atomic-write.ts';
import { backupPath, listBackups, makeFolder, replacedPath } from './backup-folder.ts';
import { writeBackup } from './backup-text.ts';
import type { RegistrySnapshot } from '../document/snapshot.ts';
import { currentPath } from '../journal/current-journal.ts';

/**
 * Keeps a file, its journals and the record of the current one unchanged in a new folder, and returns its
 * path; undefined where neither the file nor a journal exists.
 */
export async function keepFiles(
  file: string,
  journals: readonly string[],
  backupDir: string,
): Promise<string | undefined> {
  const names = [...((await exists(file)) ? [file] : []), ...journals];
  if (names.length === 0) return undefined;
  const current = currentPath(file);
  if (await exists(current)) names.push(current);
  await makeFolder(backupDir, file);
  const keptIn = replacedPath(backupDir, file);
  await makeFolder(keptIn, file);
  for (const name of names) await keepFile(name, path.join(keptIn, path.basename(name)));
  await syncDirectory(keptIn);
  await syncDirectory(backupDir);
  return keptIn;
}

/** Makes a backup of a registry that will be replaced, and returns its path. */
export async function backUpReplaced(
  { identity, options, index }: RegistrySnapshot,
  file: string,
  backupDir: string,
): Promise<string> {
  await makeFolder(backupDir, file);
  const latest = (await listBackups(backupDir, file)).at(-1);
  const target = backupPath(backupDir, file, latest, index.revision);
  await writeBackup(target, file, { identity, options, snapshot: index.snapshot() });
  return target;
}

/**
 * Makes a second name for the same bytes, if the folders are on one disk: a replacement takes over only the
 * first name.
 */
async function keepFile(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
    return;
  } catch {
    await copyFile(from, to);
  }
  const handle = await open(to, 'r+');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * The overlap of two pieces of the file: a piece may end within the digits of a revision, or the text before
 * them.
 */
const OVERLAP = 64;

/** The highest revision that a file names, whatever its other content; 0 where the file does not exist. */
export async function highestRevisionIn(file: string): Promise<number> {
  let highest = 0;
  let rest = '';
  try {
    for await (const piece of createReadStream(file, { encoding: 'latin1', highWaterMark: 1024 * 1024 })) {
      const text = rest + (piece as string);
      for (const [, digits] of text.matchAll(/"(?:rev|revision|base|clean)": ?(\d{1,15})\b/g)) {
        highest = Math.max(highest, Number(digits));
      }
      rest = text.slice(-OVERLAP);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return highest;
}

async function exists(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
}
