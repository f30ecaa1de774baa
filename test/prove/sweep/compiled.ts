import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../../build/root.ts';

/**
 * A program of this folder in C, compiled once its source has changed; returns its path. `packages` are names
 * for pkg-config.
 * @throws Error when it does not compile.
 */
export function compiled(
  name: string,
  packages: readonly string[] = [],
  flags: readonly string[] = [],
): string {
  const source = path.join(import.meta.dirname, `${name}.c`);
  const folder = path.join(root, 'dist', 'prove');
  const outfile = path.join(folder, name);
  if (existsSync(outfile) && statSync(outfile).mtimeMs > statSync(source).mtimeMs) return outfile;
  mkdirSync(folder, { recursive: true });
  const found = packages.length > 0 ? execFileSync('pkg-config', ['--cflags', '--libs', ...packages]) : '';
  const libraries = String(found).trim().split(/\s+/).filter(Boolean);
  execFileSync('gcc', ['-O2', '-Wall', '-Wextra', ...flags, '-o', outfile, source, ...libraries]);
  return outfile;
}

/** Why the programs in C cannot be used here; false when they can. */
export function noCompiler(packages: readonly string[] = []): string | false {
  if (process.platform !== 'linux') return 'needs Linux';
  try {
    execFileSync('gcc', ['--version'], { stdio: 'ignore' });
    if (packages.length > 0) execFileSync('pkg-config', ['--exists', ...packages], { stdio: 'ignore' });
    return false;
  } catch {
    return ['needs gcc', ...packages].join(' and ');
  }
}
