import { chmod, lstat, mkdir } from 'node:fs/promises';
import path from 'node:path';

/**
 * Makes a folder, unless it exists. What is missing above it is made too, and everyone may enter that, whatever the umask:
 * root's is often a strict one, and the service's user has to get to its folders.
 */
export async function makeFolder(dir: string, mode: number): Promise<void> {
  const missing: string[] = [];
  for (let at = dir; await isMissing(at); at = path.dirname(at)) missing.unshift(at);
  for (const at of missing) {
    const wanted = at === dir ? mode : 0o755;
    // No more at first than in the end.
    await mkdir(at, { recursive: true, mode: wanted });
    // Not needed for a closed one, which may lie in a folder of the user's, who could put a link there by now.
    if ((wanted & 0o077) !== 0) await chmod(at, wanted);
  }
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
