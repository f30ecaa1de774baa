import { accessSync, constants, existsSync, mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type Environment, userRoot } from './user-root.ts';

export type { Environment };

/** The paths of one broker's files (contract, section 4). */
export interface Home {
  readonly root: string;
  /** The configuration file, which holds the registry too. */
  readonly configFile: string;
  /** The extension directory. */
  readonly lib: string;
  readonly backups: string;
  /** The global tree, where it cannot be written and the user's own is used instead. */
  readonly fallbackFor?: string;
}

/** The tree of the whole machine: `BPBROKER_HOME`, or the platform's place. */
export function globalRoot(
  env: Environment = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  if (env['BPBROKER_HOME']) return path.resolve(env['BPBROKER_HOME']);
  if (platform !== 'win32') return '/usr/local/bpbroker';
  return path.win32.join(
    env['ProgramW6432'] ?? env['ProgramFiles'] ?? String.raw`C:\Program Files`,
    'bpbroker',
  );
}

/**
 * The tree to work in: the global one, or the user's where that cannot be written and `BPBROKER_HOME` is not
 * set. A user without a home gets the global one too.
 */
export function findHome(
  env: Environment = process.env,
  canWrite: (dir: string) => boolean = isWritable,
): Home {
  const root = globalRoot(env);
  if (env['BPBROKER_HOME'] || canWrite(path.join(root, 'etc'))) return homeAt(root);
  const own = userRoot(env);
  return own === undefined ? homeAt(root) : { ...homeAt(own), fallbackFor: root };
}

/** The paths of a tree with the root `root`. */
export function homeAt(root: string): Home {
  return {
    root,
    configFile: path.join(root, 'etc', 'bpbroker.json'),
    lib: path.join(root, 'lib'),
    backups: path.join(root, 'backups'),
  };
}

/**
 * Whether `dir` can be written or created: the nearest parent that exists decides.
 * @param remove removes an empty folder that was made to find out.
 */
export function isWritable(
  dir: string,
  platform: NodeJS.Platform = process.platform,
  remove: (made: string) => void = removeProbe,
): boolean {
  let at = dir;
  while (!existsSync(at) && path.dirname(at) !== at) at = path.dirname(at);
  let made: string | undefined;
  try {
    // There access() looks at the attribute "read-only" alone, and never refuses a folder.
    if (platform === 'win32') made = mkdtempSync(path.join(at, '.bpbroker-'));
    else accessSync(at, constants.W_OK | constants.X_OK);
  } catch {
    return false;
  }
  try {
    if (made !== undefined) remove(made);
  } catch {
    // A scanner holds it, or this user may only add: an empty folder stays, and the answer is the same.
  }
  return true;
}

function removeProbe(made: string): void {
  // A scanner may hold it for a moment.
  rmSync(made, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
}

/**
 * The folder for the backups of a configuration file: `backups` of its tree for the machine's and the user's
 * own file, else `backups` beside the file.
 */
export function backupsFor(file: string, env: Environment = process.env): string {
  const at = path.resolve(file);
  const roots = [globalRoot(env), userRoot(env)].filter((root) => root !== undefined);
  const home = roots.map(homeAt).find(({ configFile }) => configFile === at);
  return home?.backups ?? path.join(path.dirname(at), 'backups');
}
