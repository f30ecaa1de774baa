import { createReadStream } from 'node:fs';
import { copyFile, link, open, stat } from 'node:fs/promises';
import path from 'node:path';
import { syncDirectory } from '../../../config/atomic-write.ts';
import { backupPath, listBackups, makeFolder, replacedPath } from './backup-folder.ts';
import { writeBackup } from './backup-text.ts';
import type { RegistrySnapshot } from '../document/snapshot.ts';

/** Keeps a file and its journals, just as they are, in a new folder of its own, and gives that; nothing where there are none. */
export async function keepFiles(
  file: string,
  journals: readonly string[],
  backupDir: string,
): Promise<string | undefined> {
  const names = [...((await exists(file)) ? [file] : []), ...journals];
  if (names.length === 0) return undefined;
  await makeFolder(backupDir, file);
  const keptIn = replacedPath(backupDir, file);
  await makeFolder(keptIn, file);
  for (const name of names) await keepFile(name, path.join(keptIn, path.basename(name)));
  await syncDirectory(keptIn);
  await syncDirectory(backupDir);
  return keptIn;
}

/** Makes a backup of a registry that is about to be replaced, and gives its path. */
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

/** A second name for the same bytes, where the folders lie on one disk: what replaces the file takes the name alone. */
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

/** Digits of a revision that a piece of the file may end within, and what leads them. */
const OVERLAP = 64;

/** The highest revision that a file names, whatever else is in it; 0 where there is no such file. */
export async function highestRevisionIn(file: string): Promise<number> {
  let highest = 0;
  let rest = '';
  try {
    for await (const piece of createReadStream(file, { encoding: 'latin1', highWaterMark: 1024 * 1024 })) {
      const text = rest + (piece as string);
      for (const [, digits] of text.matchAll(/"(?:rev|revision|base)": ?(\d{1,15})\b/g)) {
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
