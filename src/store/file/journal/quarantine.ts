import { readFile, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import { ifPresent, replaceFile, syncDirectory } from '../../../config/atomic-write.ts';

/**
 * Keeps `bytes` beside `journal` for inspection, in a file `…torn-N` that is never read again, and returns
 * its path. The same bytes are kept once, however often a start is tried.
 */
export async function keepTorn(journal: string, bytes: Uint8Array): Promise<string> {
  for (let n = 1; ; n++) {
    const aside = `${journal}.torn-${n}`;
    const present = await ifPresent(readFile(aside));
    if (present === undefined) {
      await replaceFile(aside, [bytes], { mode: 0o600 });
      return aside;
    }
    if (present.equals(bytes)) return aside;
  }
}

/** Renames an unusable journal to `…damaged-N`, under which it is never read again. */
export async function setAside(journal: string): Promise<string> {
  for (let n = 1; ; n++) {
    const aside = `${journal}.damaged-${n}`;
    if ((await ifPresent(stat(aside))) !== undefined) continue;
    await rename(journal, aside);
    await syncDirectory(path.dirname(journal));
    return aside;
  }
}
