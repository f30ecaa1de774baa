import { constants } from 'node:fs';
import { chmod, chown, type FileHandle, lstat, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { backupsFor, type Home } from '../../config/paths.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
import { makeFolder } from './folder.ts';

/** The owner of the files of a service. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** The folders that a service writes to: that of its configuration file, and that of its backups, which may be within. */
export function dataFolders(home: Home, config: string | undefined): readonly [string, string] {
  const file = config ?? home.configFile;
  // The service's environment, not that of whoever installs it.
  return [path.dirname(file), backupsFor(file, { BPBROKER_HOME: home.root, HOME: home.root })];
}

/**
 * Makes the folders of a service and gives what it writes to its user: commands that root has typed, such as `configure`,
 * leave files of root's there. Run by root before every start. The user owns these folders, so nothing in them is
 * trusted: links are not followed, files with several names are left alone. So are files of other names: an editor's may
 * lie there by now, though {@link checkOwnFolder} found none at the installation.
 * @throws BrokerError `invalid_config` when something cannot be given.
 */
export async function prepareData(home: Home, config: string | undefined, owner: Owner): Promise<void> {
  await makeFolder(home.lib, 0o755);
  await makeReadable(home.lib, owner.gid);
  const [own, backups] = dataFolders(home, config);
  await giveFolder(own, (name) => isOf(config ?? home.configFile, name), owner);
  await giveFolder(backups, () => true, owner);
}

/** Makes a folder and gives it to `owner`, and of what is in it those files that are the broker's. */
async function giveFolder(dir: string, isIts: (name: string) => boolean, owner: Owner): Promise<void> {
  await makeFolder(dir, 0o700);
  const handle = await give(dir, dir, constants.O_DIRECTORY, owner);
  if (!handle) return;
  try {
    // By the open folder: one within the user's own folder may be another by now.
    const at = `/proc/self/fd/${handle.fd}`;
    for (const name of (await readdir(at)).filter(isIts)) {
      await (await give(path.join(at, name), path.join(dir, name), 0, owner))?.close();
    }
  } finally {
    await handle.close();
  }
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
    throw new BrokerError('invalid_config', `Cannot read ${dir}: ${reasonOf(error)}`, { cause: error });
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

// O_PATH, which Node does not name: opens whatever it is without touching it, so that a pipe put there does not hold up the start.
const O_PATH = 0o10000000;

/**
 * Gives what is at `at`, which people call `name`. Sockets too: that of a lock whose holder was root and was killed lets
 * nobody else see that it is dead.
 * @returns it, opened; nothing for what has gone meanwhile.
 */
async function give(
  at: string,
  name: string,
  kind: number,
  { uid, gid }: Owner,
): Promise<FileHandle | undefined> {
  const handle = await open(at, O_PATH | constants.O_NOFOLLOW | kind).catch(
    (error: NodeJS.ErrnoException) => {
      if (kind === 0 && error.code === 'ENOENT') return undefined;
      throw new BrokerError('invalid_config', `Cannot give ${name} to the service's user: ${error.code}`, {
        cause: error,
      });
    },
  );
  if (!handle) return undefined;
  try {
    const info = await handle.stat();
    const single = (info.isFile() || info.isSocket()) && info.nlink === 1;
    const isIts = info.isDirectory() ? kind !== 0 : single;
    // By what is open, whatever has the name by now.
    const opened = `/proc/self/fd/${handle.fd}`;
    if (isIts && (info.uid !== uid || info.gid !== gid)) await chown(opened, uid, gid);
    if (kind !== 0 && (info.mode & 0o077) !== 0) await chmod(opened, 0o700);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}
