import path from 'node:path';
import { replaceFile, resolveFile } from '../../../config/atomic-write.ts';
import { makeTreeFolder } from '../../../config/folder.ts';
import { isObject, type JsonObject } from '../../../protocol/formats/data.ts';
import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import { asBrokerError } from '../disk-errors.ts';
import { listBackups } from './backup-folder.ts';
import { type Backup, type BackupHead, checkBackup, readBackup } from './backup-text.ts';
import { documentText } from '../document/document.ts';
import { readSnapshot, type RegistrySnapshot } from '../document/snapshot.ts';
import { currentPath, removeCurrent } from '../journal/current-journal.ts';
import { listJournals } from '../journal/journal-files.ts';
import { backUpReplaced, highestRevisionIn, keepFiles } from './replaced-files.ts';
import { acquireLock } from '../lock.ts';
import { removeJournals } from '../recovery.ts';
import { createEntryIndex } from '../../memory/entry-index.ts';

export interface RestoreOptions {
  /** The configuration file that the backup replaces. */
  readonly file: string;
  /** The backup. */
  readonly from: string;
  /** The folder where the present state is kept. */
  readonly backupDir: string;
  /** Called before each step that changes the disk. */
  readonly onStep?: (step: string) => void;
}

/** The result of {@link restoreBackup}. */
export interface Restored {
  /** The time of the backup: ISO 8601, UTC. */
  readonly taken: string;
  readonly entries: number;
  /** The revision from which the registry continues. */
  readonly revision: number;
  /** The folder with the unchanged file and journals; absent where there were none. */
  readonly keptIn?: string;
  /** A backup of the replaced state; absent where there was none, or it was damaged. */
  readonly backup?: string;
  /** Why there is no such backup. */
  readonly problem?: string;
}

/** How far revisions skip ahead where the last used one is not known. */
const UNKNOWN_REVISIONS = 1_000_000;

/**
 * Replaces a configuration file by a backup: options and entries. The certificate stays. Revisions continue
 * after the latest one ever used, and watches start again, so that no reader mistakes the restored state for
 * one that it knows. After a crash, the disk has the present state or the restored one.
 *
 * @throws BrokerError `invalid_config` when the backup is not whole, or a broker runs on the file: nothing is
 * changed. `storage_full`, `unavailable` when the disk does not allow the write; the present state is kept
 * then.
 */
export async function restoreBackup(options: RestoreOptions): Promise<Restored> {
  const { from, backupDir, onStep = (): void => undefined } = options;
  // It is checked first and read again at the end, so that memory never holds it together with the present
  // state.
  const checked = await checkBackup(from);
  await makeTreeFolder(path.dirname(path.resolve(options.file)), 0o700);
  const lock = await acquireLock(options.file);
  try {
    const file = await resolveFile(options.file);
    const journals = (await listJournals(file)).map((journal) => journal.path);
    const { revision, ...kept } = await keepPresent(checked, file, journals, backupDir);
    onStep('kept');
    const backup = await readBackup(from);
    if (backup.id !== checked.id || backup.revision !== checked.revision || backup.taken !== checked.taken) {
      throw new BrokerError(
        'invalid_config',
        `Cannot use the backup ${from}: it was replaced by another one while it was read; nothing was changed`,
      );
    }
    const entries = backup.document.entries.size;
    await replaceFile(file, textOf(backup, revision), { onStep: (step) => onStep(`file-${step}`) });
    // From here on the file's `since` identifies old journals, whether they are removed now or at the next
    // start.
    await removeJournals(journals);
    // The record of the current journal may be damaged, and would then keep the registry from starting.
    await removeCurrent(file);
    onStep('removed');
    return { taken: backup.taken, entries, revision, ...kept };
  } catch (error) {
    throw asBrokerError(error, `Cannot restore ${options.file}`);
  } finally {
    await lock.release();
  }
}

/** The state that will be replaced, or why it cannot be read: often the reason for the restore. */
async function presentState(file: string): Promise<RegistrySnapshot | string> {
  return await readSnapshot(file).catch((error: unknown) => messageOf(error));
}

/**
 * A revision above all that this registry has used. Where the present state does not show it, this takes the
 * highest revision that any file here names, and adds a wide margin for lost ones.
 */
async function nextRevision(
  backup: BackupHead,
  present: RegistrySnapshot | string,
  file: string,
  backupDir: string,
  journals: readonly string[],
): Promise<number> {
  // An older file without its journals is whole, and only this record shows how far the registry went.
  let highest = Math.max(backup.revision, await highestRevisionIn(currentPath(file)));
  if (typeof present !== 'string' && present.identity.id === backup.id) {
    return Math.max(highest, present.index.revision) + 1;
  }
  for (const { revision } of await listBackups(backupDir, file)) highest = Math.max(highest, revision);
  for (const at of [file, ...journals]) {
    highest = Math.max(highest, await highestRevisionIn(at));
  }
  return Math.min(highest + UNKNOWN_REVISIONS, Number.MAX_SAFE_INTEGER);
}

/** Keeps the present state, and returns the revision of the restored one. */
async function keepPresent(
  backup: BackupHead,
  file: string,
  journals: readonly string[],
  backupDir: string,
): Promise<Pick<Restored, 'revision' | 'keptIn' | 'backup' | 'problem'>> {
  const present = await presentState(file);
  const revision = await nextRevision(backup, present, file, backupDir, journals);
  const keptIn = await keepFiles(file, journals, backupDir);
  if (keptIn === undefined) return { revision };
  if (typeof present === 'string') return { revision, keptIn, problem: present };
  return { revision, keptIn, backup: await backUpReplaced(present, file, backupDir) };
}

/** The file will hold the registry, also where the backup is of one in etcd. */
function textOf({ document, options }: Backup, revision: number): Iterable<string> {
  const index = createEntryIndex();
  index.load(document.entries, document.sizes, revision);
  return documentText(servedFromFile(options), { id: document.id, since: revision }, index.snapshot());
}

function servedFromFile(options: JsonObject): JsonObject {
  const store = options['_store'];
  if (!isObject(store) || store['driver'] !== 'etcd') return options;
  return { ...options, _store: { ...store, driver: 'file' } };
}
