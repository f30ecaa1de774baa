import { constants } from 'node:fs';
import { chmod, chown, type FileHandle, lstat, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '../../config/folder.ts';
import { backupsFor, type Home } from '../../config/paths.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
import type { PathInfo, System } from '../system.ts';

/** The owner of the files of a service. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The folders that a service writes to: that of its configuration file, and that of its backups, which may be
 * within.
 */
export function dataFolders(home: Home, config: string | undefined): readonly [string, string] {
  const file = config ?? home.configFile;
  // The service's environment, not that of the user who installs it.
  return [path.dirname(file), backupsFor(file, { BPBROKER_HOME: home.root, HOME: home.root })];
}

/** Every folder that may belong to a service's user: those, and that of the tree, if it had no `--config` before. */
export function givenFolders(home: Home, config: string | undefined): readonly string[] {
  return [...new Set([...dataFolders(home, config), path.dirname(home.configFile)])];
}

/**
 * Makes the folders of a service, and makes its user the owner of its files. Commands that root has typed,
 * such as `configure`, leave files that belong to root. Root runs this before every start.
 *
 * The user owns these folders, so nothing in them is trusted: links are not followed, and files with several
 * names are left alone. Files with other names are left alone too. {@link checkOwnFolder} found none at the
 * installation, but an editor may have left one since.
 * @throws BrokerError `invalid_config` when the owner of a file cannot be changed.
 */
export async function prepareData(home: Home, config: string | undefined, owner: Owner): Promise<void> {
  await makeFolder(home.lib, 0o755);
  await makeReadable(home.lib, owner.gid);
  const [own, backups] = dataFolders(home, config);
  await giveFolder(own, (name) => isOf(config ?? home.configFile, name), owner);
  await giveFolder(backups, () => true, owner);
}

/** Makes a folder and changes its owner to `owner`, and that of the broker's files in it. */
async function giveFolder(dir: string, isIts: (name: string) => boolean, owner: Owner): Promise<void> {
  await makeFolder(dir, 0o700);
  const handle = await give(dir, dir, constants.O_DIRECTORY, owner);
  if (!handle) return;
  try {
    // By the open folder: a folder within the user's own may be replaced meanwhile.
    const at = `/proc/self/fd/${handle.fd}`;
    for (const name of (await readdir(at)).filter(isIts)) {
      await (await give(path.join(at, name), path.join(dir, name), 0, owner))?.close();
    }
  } finally {
    await handle.close();
  }
}

/**
 * Lets the service's group read extensions that only root can read: copies keep the modes of their sources.
 * Only root can write here, or the broker would not run them.
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
 * The service's user must own the folder of its file, because it makes new files there. So the folder must
 * hold nothing else.
 * @throws BrokerError `invalid_config` when something else is in it.
 */
export async function checkOwnFolder(config: string): Promise<void> {
  const dir = path.dirname(config);
  const foreign = (await namesIn(dir)).find(
    (name) => !isOf(config, name) && name !== 'lib' && name !== 'backups',
  );
  if (foreign === undefined) return;
  throw new BrokerError(
    'invalid_config',
    `${dir} holds '${foreign}' beside ${path.basename(config)}; the service's user has to own the folder, so give the file a folder of its own`,
  );
}

/**
 * Why the options of the machine's file, which apply beneath those of `config`, do not apply to a service: a
 * sentence. Undefined when they do, and where there are none.
 */
export async function unreadOptions(
  system: System,
  { configFile }: Home,
  config: string | undefined,
  user: string,
): Promise<string | undefined> {
  if (config === undefined || config === configFile || user === 'root') return undefined;
  const file = await system.stat(configFile);
  if (!file) return undefined;
  const folder = await system.stat(path.dirname(configFile));
  const { code, stdout } = await system.run(['id', '-u', '--', user]);
  const may = (info: PathInfo | undefined, others: number): boolean =>
    info !== undefined && ((code === 0 && info.uid === Number(stdout)) || (info.mode & others) !== 0);
  if (may(folder, 0o001) && may(file, 0o004)) return undefined;
  return `The options of ${configFile}, access keys among them, do not apply to the service: its user ${user} may not read that file. Put them into ${config}`;
}

/** What may be in a tree: its folders, and that of the root of a file system, which a tree may be. */
const ofTree: ReadonlySet<string> = new Set(['bin', 'etc', 'lib', 'backups', 'log', 'lost+found']);

/**
 * The service's user must own folders of the tree, and its group must read `lib`. Folders of these names are
 * in `/usr/local` and `/var` too, so the tree must hold nothing else.
 * @throws BrokerError `usage` when something else is in the tree of `BPBROKER_HOME`.
 */
export async function checkOwnTree({ root }: Home): Promise<void> {
  const foreign = (await namesIn(root)).find((name) => !ofTree.has(name));
  if (foreign === undefined) return;
  throw new BrokerError(
    'usage',
    `Invalid BPBROKER_HOME '${root}' for a service: ${root} holds '${foreign}' too; the service's user has to own folders in it, so give it a folder of its own, such as /opt/bpbroker`,
  );
}

/** The names in a folder; none when there is no such folder. */
function namesIn(dir: string): Promise<string[]> {
  return readdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new BrokerError('invalid_config', `Cannot read ${dir}: ${reasonOf(error)}`, { cause: error });
  });
}

/**
 * Whether a file beside the configuration is the broker's: `NAME.json`, its journal and lock, `NAME.crt`,
 * `NAME.key`.
 */
function isOf(config: string, name: string): boolean {
  const own = path.basename(config);
  return name === own || name.startsWith(`${path.basename(own, path.extname(own))}.`);
}

// O_PATH, which Node does not name, opens a file of any kind without touching it. So a pipe put there does
// not delay the start.
const O_PATH = 0o10000000;

/**
 * Changes the owner of the file at `at`; messages call it `name`. This includes sockets: only the owner of a
 * lock's socket can see that its holder was killed.
 * @returns the open file; `undefined` when it has gone meanwhile.
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
    // By the open file, whatever has its name by now.
    const opened = `/proc/self/fd/${handle.fd}`;
    if (isIts && (info.uid !== uid || info.gid !== gid)) await chown(opened, uid, gid);
    if (kind !== 0 && (info.mode & 0o077) !== 0) await chmod(opened, 0o700);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}
