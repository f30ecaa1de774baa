import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from './root.ts';

/** Files under a folder, or the file itself, sorted; `[]` for a path that does not exist. */
export function listFiles(at: string): string[] {
  if (!existsSync(at)) return [];
  if (!statSync(at).isDirectory()) return [at];
  return readdirSync(at, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name))
    .toSorted();
}

/** SHA-256 over the names and contents of files and folders, relative to `base`. */
export function digest(inputs: readonly string[], base: string = root): string {
  const hash = createHash('sha256');
  for (const file of inputs.flatMap((input) => listFiles(path.resolve(base, input)))) {
    const content = readFileSync(file);
    hash.update(`${path.relative(base, file)}\0${content.length}\0`).update(content);
  }
  return hash.digest('hex');
}

/**
 * Runs `build`, unless its outputs exist and its inputs have not changed since it last succeeded. Contents
 * are compared, not times: a checkout touches files without changing them.
 * @returns whether it ran.
 */
export async function unlessFresh(
  name: string,
  files: { readonly inputs: readonly string[]; readonly outputs: readonly string[] },
  build: () => Promise<void>,
  base: string = root,
): Promise<boolean> {
  const stamp = stampOf(name, base);
  const now = digest(files.inputs, base);
  const built = files.outputs.every((output) => existsSync(path.resolve(base, output)));
  if (built && existsSync(stamp) && readFileSync(stamp, 'utf8') === now) return false;
  await buildAndStamp(name, files.inputs, build, base);
  return true;
}

/** Always runs `build`. Without a new stamp, the result would pass for that of the former build's inputs. */
export async function buildAndStamp(
  name: string,
  inputs: readonly string[],
  build: () => Promise<void>,
  base: string = root,
): Promise<void> {
  const now = digest(inputs, base);
  await build();
  const stamp = stampOf(name, base);
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, now);
}

function stampOf(name: string, base: string): string {
  return path.join(base, 'dist', '.stamps', name);
}

/** The inputs of every product. */
export const commonInputs: readonly string[] = ['src', 'package.json', 'package-lock.json', 'tsconfig.json'];
