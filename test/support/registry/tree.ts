import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import path from 'node:path';

/**
 * Everything under a folder, by its relative path: kind, mode, and content byte for byte. To tell whether anything was
 * touched.
 */
export function treeOf(dir: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(dir, { recursive: true }) as string[]) {
    const at = path.join(dir, name);
    const { mode } = lstatSync(at);
    const isFile = lstatSync(at).isFile();
    const content = isFile
      ? readFileSync(at, 'latin1')
      : lstatSync(at).isSymbolicLink()
        ? readlinkSync(at)
        : '';
    found[name] = `${mode.toString(8)} ${content}`;
  }
  return found;
}
