import { describeError } from '../../protocol/system-errors.ts';
import { backupPath, listBackups, makeFolder, pruneBackups } from '../../store/file/backup/backup-folder.ts';
import { writeBackup } from '../../store/file/backup/backup-text.ts';
import { asBrokerError } from '../../store/file/disk-errors.ts';
import { readSnapshot } from '../../store/file/document/snapshot.ts';
import { silentLogger } from '../../protocol/logger.ts';
import { loadConfiguration } from '../opening/configuration.ts';
import { openLiveConfiguration } from '../opening/live-configuration.ts';

/** A backup that was made. */
export interface BackupMade {
  readonly path: string;
  readonly revision: number;
  readonly entries: number;
  readonly bytes: number;
  /** Why older backups beyond `backup_retain_n` could not be removed. */
  readonly problem?: string;
  /** Why the options of the machine's global file do not apply; absent when they do. */
  readonly globalProblem?: string;
}

/**
 * Makes a backup of a configuration file in `dir`, whether or not a broker runs on it. It reads the file and
 * its journals, and changes nothing of the broker's. The backup counts as one of `backup_retain_n`.
 *
 * @throws BrokerError `not_found` where the file does not exist, `invalid_config` when it is damaged,
 * `storage_full` or `unavailable` when the backup cannot be written.
 */
export async function backUpNow(file: string, dir: string): Promise<BackupMade> {
  const { document, effective, globalProblem } = await loadConfiguration(file, undefined);
  const isCluster = document !== undefined && effective._store.driver === 'etcd';
  const made = isCluster ? await backUpCluster(file, dir) : await backUpFile(file, dir);
  return globalProblem === undefined ? made : { ...made, globalProblem };
}

async function backUpFile(file: string, dir: string): Promise<BackupMade> {
  const { identity, options, index } = await readSnapshot(file);
  const snapshot = index.snapshot();
  try {
    await makeFolder(dir, file);
    const latest = (await listBackups(dir, file)).at(-1);
    const target = backupPath(dir, file, latest, snapshot.revision);
    const bytes = await writeBackup(target, file, { identity, options, snapshot });
    const problem = await prune(file, dir);
    const made = { path: target, revision: snapshot.revision, entries: index.size, bytes };
    return problem === undefined ? made : { ...made, problem };
  } catch (error) {
    throw asBrokerError(error, `Cannot make a backup in ${dir}`);
  }
}

/** Reads the registry from etcd, whether or not a broker serves it. */
async function backUpCluster(file: string, dir: string): Promise<BackupMade> {
  const { openEtcdRegistry } = await import('../opening/etcd-registry.ts');
  const configuration = await openLiveConfiguration({ file, options: undefined, log: silentLogger });
  const { store, release } = await openEtcdRegistry(file, configuration, silentLogger);
  try {
    await makeFolder(dir, file);
    const latest = (await listBackups(dir, file)).at(-1);
    const entries = await store.count('');
    const made = await store.backUp((revision) => backupPath(dir, file, latest, revision));
    const problem = await prune(file, dir);
    return problem === undefined ? { ...made, entries } : { ...made, entries, problem };
  } finally {
    await store.close();
    release();
  }
}

/** Removes older backups. The new backup exists, so a failure here is only reported. */
async function prune(file: string, dir: string): Promise<string | undefined> {
  try {
    const { effective } = await loadConfiguration(file, undefined);
    await pruneBackups(dir, file, effective._config.backup_retain_n);
    return undefined;
  } catch (error) {
    return describeError(error);
  }
}
