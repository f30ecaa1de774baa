import { chmod, cp, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
import { describe, extensionsIn } from './lookup.ts';

export interface Installed {
  /** Where it stands now. */
  readonly path: string;
  /** The names under which its modules are enabled and called: `ossec`; of a folder, `pkg.mod` for each. */
  readonly modules: readonly string[];
}

/**
 * Copies a file or a folder into the extension directory, whole or not at all; others than its owner cannot write the copy.
 * @throws BrokerError `usage` when it is no extension; `already_exists` unless `force`.
 */
export async function installExtension(dir: string, script: string, force: boolean): Promise<Installed> {
  const source = path.resolve(script);
  const info = await stat(source).catch((error: unknown) => {
    throw new BrokerError('usage', `Cannot read --script ${script}: ${reasonOf(error)}`, { cause: error });
  });
  await mkdir(dir, { recursive: true, mode: 0o755 });
  const target = path.join(dir, path.basename(source));
  if (target === source) throw new BrokerError('usage', `${script} is where the broker looks for it already`);
  const modules = await modulesOf(source, info.isDirectory());
  for (const module of modules) await checkAlone(dir, target, module);
  const present = await stat(target).catch(() => undefined);
  if (present && !force) {
    throw new BrokerError('already_exists', `${target} is there already; overwrite it with --force`);
  }
  const staged = path.join(dir, `.${path.basename(source)}.${process.pid}.tmp`);
  const aside = path.join(dir, `.${path.basename(source)}.${process.pid}.old`);
  try {
    await cp(source, staged, { recursive: true, dereference: true });
    await makeSafe(staged, info.isDirectory());
    // A folder cannot be renamed over another; a file can, in one step.
    if (present?.isDirectory()) await rename(target, aside);
    await rename(staged, target).catch(async (error: unknown) => {
      if (present?.isDirectory()) await rename(aside, target);
      throw error;
    });
    return { path: target, modules };
  } finally {
    for (const leftover of [staged, aside]) await rm(leftover, { recursive: true, force: true });
  }
}

/** A copy keeps the modes of a checkout, in which others may write; the broker would refuse to run that. */
async function makeSafe(at: string, isFolder: boolean): Promise<void> {
  const { mode } = await stat(at);
  await chmod(at, mode & 0o755);
  if (!isFolder) return;
  for (const entry of await readdir(at, { withFileTypes: true })) {
    await makeSafe(path.join(at, entry.name), entry.isDirectory());
  }
}

async function modulesOf(source: string, isFolder: boolean): Promise<string[]> {
  const base = path.basename(source);
  const found = isFolder
    ? (await extensionsIn(source)).map((inside) => `${base}.${inside.base}`)
    : [(await describe(path.dirname(source), base))?.base].filter((name) => name !== undefined);
  if (found.length > 0) return found;
  const what = isFolder ? `The folder ${source} holds no extension` : `${source} is no extension`;
  throw new BrokerError(
    'usage',
    `${what}: expected a .ts, .mts, .js, .mjs or .py file, or an executable one`,
  );
}

/** Two files of one name would make a module that the broker cannot choose for. */
async function checkAlone(dir: string, target: string, module: string): Promise<void> {
  const entry = path.basename(target);
  const other = (await extensionsIn(dir)).find(({ base, entry: its }) => base === module && its !== entry);
  if (!other) return;
  const place = path.join(dir, other.entry);
  throw new BrokerError(
    'already_exists',
    `Module '${module}' is there already as ${place}; remove that first`,
  );
}
