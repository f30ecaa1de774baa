import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

/**
 * The project's folder: the nearest one at or above this file that holds the lock file. This also works for
 * an emitted copy.
 */
export const root: string = findRoot(import.meta.dirname);

/** Files under `src/` that are not TypeScript. Each product carries them beside the code that reads them. */
export const assets: readonly string[] = [
  'extensions/host/python-host.py',
  ...['bash.bash', 'fish.fish', 'powershell.ps1', 'zsh.zsh'].map((file) => `cli/completion/in-${file}`),
];

/** The version in `package.json`. */
export function projectVersion(): string {
  const manifest = readFileSync(path.join(root, 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

/** A program of a dev dependency, by its own file: a launcher around it would not pass signals on. */
export function tool(name: 'bun' | 'deno' | 'node' | 'tsc'): string {
  const windows = process.platform === 'win32';
  const files = {
    bun: 'bun/bin/bun.exe',
    deno: windows ? 'deno/deno.exe' : 'deno/deno',
    node: windows ? 'node/bin/node.exe' : 'node/bin/node',
    tsc: 'typescript/bin/tsc',
  };
  return path.join(root, 'node_modules', files[name]);
}

function findRoot(from: string): string {
  if (existsSync(path.join(from, 'package-lock.json'))) return from;
  const parent = path.dirname(from);
  if (parent === from) throw new Error(`No package-lock.json at or above ${import.meta.dirname}`);
  return findRoot(parent);
}
