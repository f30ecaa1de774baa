import { chmod, cp, link, lstat, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { makeTreeFolder } from '../config/folder.ts';
import { isModuleKey } from '../config/schema.ts';
import { isBuiltIn } from '../modules/built-in.ts';
import { BrokerError } from '../protocol/errors.ts';
import { cannotRead } from '../protocol/system-errors.ts';
import { type Candidate, describe, type ExtensionKind, extensionsIn, isModuleName } from './lookup.ts';

/** An extension in the extension directory. */
export interface Installed {
  /** Its path in the extension directory. */
  readonly path: string;
  /** The names that enable and call its modules: `ossec`; for a folder, `pkg.mod` for each. */
  readonly modules: readonly string[];
}

/** A copy that is ready beside its final path. Either `put` or `clean` must be called. */
export interface StagedExtension extends Installed {
  /**
   * Moves the copy to its path, for a file in one step.
   * @returns a function that undoes this and restores the former file.
   * @throws the system's error; nothing has changed then.
   */
  put(): Promise<() => Promise<void>>;
  /** Removes the files that are left beside the path. */
  clean(): Promise<void>;
}

/**
 * Copies a file or a folder into the extension directory, whole or not at all; only its owner can write the
 * copy.
 * @param hindrance says why this program cannot run an extension, from its path and kind; undefined when it
 * can.
 * @throws BrokerError `usage` when it is not an extension, cannot be run, or has a name of the broker's own;
 * `already_exists` unless `force`.
 */
export async function stageExtension(
  dir: string,
  script: string,
  force: boolean,
  hindrance: (file: string, kind: ExtensionKind) => Promise<string | undefined>,
): Promise<StagedExtension> {
  const source = path.resolve(script);
  const info = await stat(source).catch((error: unknown) => {
    throw cannotRead('--script', script, error);
  });
  const target = path.join(dir, path.basename(source));
  if (target === source) throw new BrokerError('usage', `${script} is already in the extension directory`);
  const modules = await modulesOf(source, info.isDirectory(), hindrance);
  for (const module of modules) {
    checkName(source, module);
    await checkAlone(dir, target, module);
  }
  const present = await lstat(target).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
  });
  if (present && !force) {
    throw new BrokerError('already_exists', `${target} already exists; overwrite it with --force`);
  }
  await makeTreeFolder(dir, 0o755);
  // Only its owner can enter it, so a broker does not take its content for files that extensions may load.
  const beside = await mkdtemp(path.join(dir, '.install-'));
  const clean = (): Promise<void> => rm(beside, { recursive: true, force: true });
  const staged = path.join(beside, 'new');
  const former = path.join(beside, 'former');
  try {
    await cp(source, staged, { recursive: true, dereference: true });
    await makeSafe(staged, info.isDirectory());
  } catch (error) {
    await clean();
    throw error;
  }
  const takeBack = async (): Promise<void> => {
    await rename(target, staged);
    if (present) await rename(former, target);
  };
  return {
    path: target,
    modules,
    clean,
    async put() {
      // A folder cannot be renamed over another. A file can, in one step, and a second name keeps the old
      // one.
      const kept = present && (present.isDirectory() ? rename : link)(target, former);
      await kept;
      await rename(staged, target).catch(async (error: unknown) => {
        if (present?.isDirectory()) await rename(former, target);
        throw error;
      });
      return takeBack;
    },
  };
}

/**
 * Removes the write permission of others: the copy of a checkout keeps it, and the broker would refuse to run
 * the file.
 */
async function makeSafe(at: string, isFolder: boolean): Promise<void> {
  const { mode } = await stat(at);
  await chmod(at, mode & 0o755);
  if (!isFolder) return;
  for (const entry of await readdir(at, { withFileTypes: true })) {
    await makeSafe(path.join(at, entry.name), entry.isDirectory());
  }
}

async function modulesOf(
  source: string,
  isFolder: boolean,
  hindrance: (file: string, kind: ExtensionKind) => Promise<string | undefined>,
): Promise<string[]> {
  const base = path.basename(source);
  // A name with '_' before it is the broker's own, which is said below.
  if (isFolder && !base.startsWith('_') && (!isModuleName(base) || base.includes('.')))
    throw new BrokerError(
      'usage',
      `Nobody could call an extension in the folder ${source}: expected a name of letters, digits, '-' and '_' that begins with neither of these two`,
    );
  const folder = isFolder ? source : path.dirname(source);
  const found = isFolder
    ? await extensionsIn(source)
    : [await describe(folder, base)].filter((candidate) => candidate !== undefined);
  checkDistinct(folder, found);
  for (const { entry, kind } of found) {
    const file = path.join(folder, entry);
    const reason = await hindrance(file, kind);
    if (reason !== undefined) throw new BrokerError('usage', `${file} cannot be run: ${reason}`);
  }
  if (found.length > 0) return found.map((inside) => (isFolder ? `${base}.${inside.base}` : inside.base));
  const what = isFolder ? `The folder ${source} holds no extension` : `${source} is no extension`;
  throw new BrokerError(
    'usage',
    `${what}: expected a .ts, .mts, .js, .mjs or .py file, or an executable one`,
  );
}

/** Refuses a name that never calls an extension: enabled, its key would guard a part of the broker. */
function checkName(source: string, module: string): void {
  if (isModuleKey(module) && !isBuiltIn(module)) return;
  throw new BrokerError('usage', `${source}: '${module}' is a name of the broker's own; give it another one`);
}

/** Refuses two files of one name in a folder: the broker could not choose between the two modules. */
function checkDistinct(folder: string, found: readonly Candidate[]): void {
  const entries = new Map<string, string>();
  for (const { base, entry } of found) {
    const other = entries.get(base);
    if (other !== undefined)
      throw new BrokerError('usage', `The folder ${folder} has both ${other} and ${entry}; remove one`);
    entries.set(base, entry);
  }
}

/** Refuses a second file of one name in the extension directory, as above. */
async function checkAlone(dir: string, target: string, module: string): Promise<void> {
  const entry = path.basename(target);
  const other = (await extensionsIn(dir, module)).find(({ entry: its }) => its !== entry);
  if (!other) return;
  const place = path.join(dir, other.entry);
  throw new BrokerError('already_exists', `Module '${module}' already exists as ${place}; remove that first`);
}
