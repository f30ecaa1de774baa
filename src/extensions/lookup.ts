import { readdir, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { BrokerError } from '../protocol/errors.ts';
import { reasonOf } from '../protocol/system-errors.ts';
import { compareNames } from '../protocol/registry/names.ts';
import { unsafePart, writableByOthers } from './ownership.ts';

/** `script`: TypeScript or JavaScript; `python`; `executable`: a program of any language. */
export type ExtensionKind = 'script' | 'python' | 'executable';

/** An extension that was found and may be run. */
export interface Extension {
  /** The module's name, such as `ossec` or `pkg.mod`. */
  readonly name: string;
  readonly kind: ExtensionKind;
  /** Real path of its file. */
  readonly file: string;
  /** The extension directory's real path. */
  readonly dir: string;
  /** Changes when the file changes. */
  readonly version: string;
}

const windows = process.platform === 'win32';
const scripts = new Set(['.ts', '.mts', '.js', '.mjs']);
const windowsPrograms = new Set(['.exe', '.cmd', '.bat', '.ps1']);
const moduleName = /^[A-Za-z0-9][\w-]*(?:\.[A-Za-z0-9][\w-]*)*$/;

/** Whether a module can have that name: `ossec`, or `pkg.mod` for one in a folder. */
export function isModuleName(name: string): boolean {
  return moduleName.test(name);
}

/**
 * Finds the extension of a module's name in the extension directory (contract, section 7). It is `NAME.ts`,
 * `.mts`, `.js`, `.mjs`, `.py`, or an executable file `NAME` or `NAME.*`. `pkg.mod` is `mod` in the folder
 * `pkg`. Returns undefined without one.
 * @param partOf says why a file that it could load is unsafe; default: checks now.
 * @throws BrokerError `extension_failed` when there are several. The same error refuses an extension when
 * others than the broker's user could have written it, or any file that it could load.
 */
export async function findExtension(
  dir: string,
  name: string,
  partOf: (root: string) => Promise<string | undefined> = unsafePart,
): Promise<Extension | undefined> {
  if (!isModuleName(name)) return undefined;
  const { folder, candidates } = await candidatesOf(dir, name);
  const [found, other] = candidates;
  if (!found) return undefined;
  if (other) throw refusal(name, `there are both ${found.entry} and ${other.entry}; remove one`);
  const root = await realpath(dir);
  const file = await realpath(path.join(folder, found.entry));
  await checkSafe(name, root, file);
  const reason = await partOf(root);
  if (reason !== undefined) throw refusal(name, reason);
  return { name, kind: found.kind, file, dir: root, version: await versionOf(file) };
}

/** Whether a file has a module's name, whether or not it may be run. */
export async function hasExtension(dir: string, name: string): Promise<boolean> {
  return isModuleName(name) && (await candidatesOf(dir, name)).candidates.length > 0;
}

/** The files of a module's name; several are an error. */
async function candidatesOf(
  dir: string,
  name: string,
): Promise<{ readonly folder: string; readonly candidates: readonly Candidate[] }> {
  const segments = name.split('.');
  const base = segments.pop() ?? '';
  const folder = path.join(dir, ...segments);
  const candidates = await extensionsIn(folder, base).catch((error: unknown) => {
    throw refusal(name, `its files cannot be looked at: ${reasonOf(error)}`);
  });
  return { folder, candidates };
}

/**
 * A text that changes with the file.
 * @throws the system's error when the file is gone.
 */
export async function versionOf(file: string): Promise<string> {
  const { mtimeMs, size, ino, mode } = await stat(file);
  return `${mtimeMs} ${size} ${ino} ${mode}`;
}

/** A file in a folder that is an extension. */
export interface Candidate {
  readonly entry: string;
  /** The module's name within its folder. */
  readonly base: string;
  readonly kind: ExtensionKind;
}

/**
 * The extensions in a folder, in the order of their files' names; empty where there is no such folder.
 * @param only looks at those of this name alone, so that no other file's trouble counts; default: at all.
 */
export async function extensionsIn(folder: string, only?: string): Promise<Candidate[]> {
  const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  });
  const looked = only === undefined ? entries : entries.filter((entry) => baseOf(entry) === only);
  const described = await Promise.all(looked.toSorted(compareNames).map((entry) => describe(folder, entry)));
  return described.filter((candidate) => candidate !== undefined);
}

/** The name of the module that a file would be. */
function baseOf(entry: string): string {
  return entry.slice(0, entry.length - path.extname(entry).length);
}

/** A file as an extension; undefined when it is not one: `echo.test.ts` and `README.md` are not. */
export async function describe(folder: string, entry: string): Promise<Candidate | undefined> {
  const extension = path.extname(entry);
  const base = baseOf(entry);
  if (!isModuleName(base) || base.includes('.')) return undefined;
  // A link may lead nowhere.
  const info = await stat(path.join(folder, entry)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
    throw error;
  });
  if (!info?.isFile()) return undefined;
  if (scripts.has(extension)) return { entry, base, kind: 'script' };
  if (extension === '.py') return { entry, base, kind: 'python' };
  const runs = windows ? windowsPrograms.has(extension.toLowerCase()) : (info.mode & 0o111) !== 0;
  return runs ? { entry, base, kind: 'executable' } : undefined;
}

/** A user who can change or replace the file can run any code as the broker's user. */
async function checkSafe(name: string, root: string, file: string): Promise<void> {
  const inside = path.relative(root, file);
  if (inside.startsWith('..') || path.isAbsolute(inside)) {
    throw refusal(name, 'it is a link that leads out of the extension directory');
  }
  if (windows) return;
  const steps = inside.split(path.sep);
  for (let depth = 0; depth <= steps.length; depth++) {
    const at = path.join(root, ...steps.slice(0, depth));
    const reason = writableByOthers(await stat(at));
    const shown = depth === 0 ? 'the extension directory' : steps.slice(0, depth).join('/');
    if (reason !== undefined) throw refusal(name, `${shown} ${reason}`);
  }
}

function refusal(name: string, reason: string): BrokerError {
  return new BrokerError('extension_failed', `Extension '${name}' is not run: ${reason}`);
}
