import { constants } from 'node:fs';
import { chmod, chown, lstat, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import type { Home } from '../config/paths.ts';
import { BrokerError, messageOf } from '../protocol/errors.ts';
import { makeFolder } from './folder.ts';

/** Who owns the files of a service. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The folders that a service writes to: that of its configuration file, and the backups. */
export function dataFolders(home: Home, config: string | undefined): readonly string[] {
  return [path.dirname(config ?? home.configFile), home.backups];
}

/**
 * Makes the folders of a service and gives what it writes to its user: commands that root has typed, such as `configure`,
 * leave files of root's there. Run by root before every start. The user owns these folders, so nothing in them is
 * trusted: links are not followed, files with several names are left alone.
 * @throws BrokerError `invalid_config` when the folder of `config` holds files that are not the broker's.
 */
export async function prepareData(home: Home, config: string | undefined, owner: Owner): Promise<void> {
  if (config !== undefined) await checkOwnFolder(config);
  await makeFolder(home.lib, 0o755);
  await makeReadable(home.lib, owner.gid);
  for (const dir of dataFolders(home, config)) {
    await makeFolder(dir, 0o700);
    await give(dir, constants.O_DIRECTORY, owner);
  }
  const file = config ?? home.configFile;
  const names = await readdir(path.dirname(file));
  for (const name of names.filter((entry) => isOf(file, entry))) {
    await give(path.join(path.dirname(file), name), 0, owner);
  }
  for (const name of await readdir(home.backups)) await give(path.join(home.backups, name), 0, owner);
}

/**
 * Lets the service's group read an extension that only root could: copies keep the modes of what they are copied from.
 * Nobody but root can write here, or the broker would not run it.
 */
async function makeReadable(at: string, gid: number): Promise<void> {
  const info = await lstat(at);
  if (info.isSymbolicLink()) return;
  const wanted = info.mode | ((info.mode >> 3) & 0o050);
  if ((info.mode & 0o004) === 0 && (wanted !== info.mode || info.gid !== gid)) {
    await chown(at, info.uid, gid);
    await chmod(at, wanted & 0o777);
  }
  if (!info.isDirectory()) return;
  for (const name of await readdir(at)) await makeReadable(path.join(at, name), gid);
}

/**
 * The service's user must own the folder of its file, since it makes new files there; so it must be a folder of its own.
 * @throws BrokerError `invalid_config` when something else is in it.
 */
export async function checkOwnFolder(config: string): Promise<void> {
  const dir = path.dirname(config);
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new BrokerError('invalid_config', `Cannot read ${dir}: ${messageOf(error)}`, { cause: error });
  });
  const foreign = names.find((name) => !isOf(config, name) && name !== 'lib' && name !== 'backups');
  if (foreign === undefined) return;
  throw new BrokerError(
    'invalid_config',
    `${dir} holds '${foreign}' beside ${path.basename(config)}; the service's user has to own the folder, so give the file a folder of its own`,
  );
}

/** Whether a file beside the configuration is the broker's: `NAME.json`, its journal and lock, `NAME.crt`, `NAME.key`. */
function isOf(config: string, name: string): boolean {
  return name.startsWith(`${path.basename(config, path.extname(config))}.`);
}

async function give(at: string, kind: number, { uid, gid }: Owner): Promise<void> {
  // Without O_NONBLOCK a pipe put there would hold up the start.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | kind;
  const handle = await open(at, flags).catch((error: NodeJS.ErrnoException) => {
    // A link, a socket, or gone meanwhile.
    if (kind === 0 && ['ELOOP', 'ENXIO', 'ENOENT'].includes(error.code ?? '')) return undefined;
    throw new BrokerError('invalid_config', `Cannot give ${at} to the service's user: ${messageOf(error)}`, {
      cause: error,
    });
  });
  if (!handle) return;
  try {
    const info = await handle.stat();
    const plain = info.isDirectory() ? kind !== 0 : info.isFile() && info.nlink === 1;
    if (plain && (info.uid !== uid || info.gid !== gid)) await handle.chown(uid, gid);
    if (kind !== 0 && (info.mode & 0o077) !== 0) await handle.chmod(0o700);
  } finally {
    await handle.close();
  }
}
