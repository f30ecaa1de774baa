import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { capture } from './process.ts';
import { assets, root, tool } from './root.ts';
import { commonInputs, unlessFresh } from './stamp.ts';

type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };
export type Manifest = { readonly [key: string]: Json };

const copied = ['name', 'version', 'description', 'keywords', 'license', 'type', 'engines', 'dependencies'];
const documents = ['README.md', 'LICENSE', 'CHANGELOG.md'];
const prefix = './dist/npm/';

/** The published `package.json`: the fields that users need, with paths as they are inside the package. */
export function packageManifest(project: Manifest): Manifest {
  const kept = copied.filter((key) => project[key] !== undefined).map((key) => [key, project[key] ?? null]);
  return {
    ...Object.fromEntries(kept),
    bin: mapStrings(project['bin'] ?? {}, packaged),
    exports: mapStrings(project['exports'] ?? {}, unprefixed),
    imports: mapStrings(project['imports'] ?? {}, emitted),
  };
}

/** In a clone, `npx` runs a program that exists before the build, and leads to the one of the package. */
function packaged(file: string): string {
  return file.replace(/^\.\/build\/bin\//, './cli/');
}

function unprefixed(file: string): string {
  return file.startsWith(prefix) ? `./${file.slice(prefix.length)}` : file;
}

function emitted(file: string): string {
  return file.replace(/^\.\/src\//, './').replace(/\.ts$/, '.js');
}

function mapStrings(value: Json, change: (text: string) => string): Json {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((item: Json) => mapStrings(item, change));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapStrings(item, change)]));
}

/**
 * Writes the npm package's files to `dist/npm` of `project`, and replaces its contents. The files are first
 * made beside it, so that a failure leaves the former package whole.
 * @throws Error when the sources do not compile, or a program's file is missing or lacks its `#!` line.
 */
export async function buildPackage(project: string = root): Promise<void> {
  const out = path.join(project, 'dist', 'npm');
  const staged = path.join(project, 'dist', `.npm-${process.pid}`);
  rmSync(staged, { recursive: true, force: true });
  try {
    await capture([process.execPath, tool('tsc'), '-p', 'build/tsconfig.npm.json', '--outDir', staged], {
      cwd: project,
    });
    mkdirSync(staged, { recursive: true });
    for (const asset of assets) {
      mkdirSync(path.dirname(path.join(staged, asset)), { recursive: true });
      copyFileSync(path.join(project, 'src', asset), path.join(staged, asset));
    }
    const manifest = packageManifest(
      JSON.parse(readFileSync(path.join(project, 'package.json'), 'utf8')) as Manifest,
    );
    writeFileSync(path.join(staged, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
    for (const name of documents.filter((file) => existsSync(path.join(project, file)))) {
      copyFileSync(path.join(project, name), path.join(staged, name));
    }
    for (const file of Object.values(manifest['bin'] as Record<string, string>)) {
      makeExecutable(path.join(staged, file));
    }
    rmSync(out, { recursive: true, force: true });
    renameSync(staged, out);
  } finally {
    rmSync(staged, { recursive: true, force: true });
  }
}

function makeExecutable(file: string): void {
  const [firstLine = ''] = readFileSync(file, 'utf8').split('\n', 1);
  if (firstLine !== '#!/usr/bin/env node') {
    throw new Error(
      `${file} begins with ${JSON.stringify(firstLine)}; a program begins with #!/usr/bin/env node`,
    );
  }
  chmodSync(file, 0o755);
}

/** Builds the package unless it is up to date. Returns whether it did. */
export function ensurePackage(): Promise<boolean> {
  return unlessFresh(
    'npm',
    {
      inputs: [...commonInputs, ...documents, 'build/npm.ts', 'build/tsconfig.npm.json'],
      outputs: ['dist/npm/package.json'],
    },
    buildPackage,
  );
}

if (import.meta.main) {
  process.stdout.write(`dist/npm ${(await ensurePackage()) ? 'is built' : 'is up to date'}.\n`);
}
