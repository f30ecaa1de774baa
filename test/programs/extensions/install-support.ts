import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { tempDir } from '../../support/temp.ts';
import type { RunResult } from '../../support/programs/programs.ts';
import { bpbroker } from '../support.ts';

export const posix: string | false = process.platform === 'win32' ? 'Windows has no such modes' : false;

/** An extension whose method answers with a text. */
export const answer = (text: string): string => `export const Say = () => '${text}';\n`;

/** A home with a folder `mine` of scripts to install. */
export function home(files: Readonly<Record<string, string>>): {
  dir: string;
  lib: string;
  at(file: string): string;
} {
  const dir = tempDir();
  const at = (file: string): string => path.join(dir, 'mine', file);
  mkdirSync(path.join(dir, 'mine'));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(at(file)), { recursive: true });
    writeFileSync(at(file), text);
  }
  return { dir, at, lib: path.join(dir, 'bpbroker', 'lib') };
}

export const install = (dir: string, script: string, ...more: string[]): Promise<RunResult> =>
  bpbroker(dir, ['install-extension', '--script', script, ...more]);
