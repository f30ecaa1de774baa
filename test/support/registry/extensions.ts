import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { tempDir } from '../temp.ts';

/** An extension directory with these files; programs, which begin with `#!`, can be run. */
export function extensionDir(
  files: Readonly<Record<string, string>>,
  dir: string = path.join(tempDir(), 'lib'),
): string {
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(dir, name);
    mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
    writeFileSync(file, text);
    chmodSync(file, text.startsWith('#!') ? 0o755 : 0o644);
  }
  return dir;
}

/** Writes extensions to where a broker whose home is `dir` looks for them. */
export function writeExtensions(dir: string, files: Readonly<Record<string, string>>): void {
  extensionDir(files, path.join(dir, 'bpbroker', 'lib'));
}
