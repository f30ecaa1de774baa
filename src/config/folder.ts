import { chmod, lstat, mkdir } from 'node:fs/promises';
import path from 'node:path';
import { runsAsRoot } from './atomic-write.ts';

/**
 * Makes a folder, unless it exists. Missing folders above it are made too, and everyone may enter those,
 * whatever the umask. The umask of root is often strict, and the service's user must reach its folders.
 */
export async function makeFolder(dir: string, mode: number): Promise<void> {
  const missing: string[] = [];
  for (let at = dir; await isMissing(at); at = path.dirname(at)) missing.unshift(at);
  for (const at of missing) {
    const wanted = at === dir ? mode : 0o755;
    // Never more rights than in the end.
    await mkdir(at, { recursive: true, mode: wanted });
    // A closed folder does not need it. It may be in a folder of the user, who could have put a link there by
    // now.
    if ((wanted & 0o077) !== 0) await chmod(at, wanted);
  }
}

/**
 * Makes a folder of a broker's tree with `mode` less the umask, unless it exists. Everyone may enter the
 * missing folders above it that root makes: a service's user must reach its folders in that tree.
 */
export async function makeTreeFolder(dir: string, mode: number): Promise<void> {
  if (runsAsRoot()) await makeFolder(path.dirname(dir), 0o755);
  await mkdir(dir, { recursive: true, mode });
}

async function isMissing(at: string): Promise<boolean> {
  try {
    await lstat(at);
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true;
    throw error;
  }
}
