import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { tempDir } from '../../support/temp.ts';

/** An extension directory with these files; `.sh` files, and those that begin with `#!`, are executable. */
export function extensionDir(
  files: Readonly<Record<string, string>>,
  dir: string = path.join(tempDir(), 'lib'),
): string {
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(dir, name);
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
    writeFileSync(file, content);
    chmodSync(file, content.startsWith('#!') ? 0o755 : 0o644);
  }
  return dir;
}
