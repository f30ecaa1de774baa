import { stat } from 'node:fs/promises';
import { ifPresent, removeLeftovers, replaceFile } from '../../config/atomic-write.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { removeCurrent, writeCurrent } from './journal/current-journal.ts';
import { asBrokerError, isFull } from './disk-errors.ts';
import { documentText, optionsOf, type StoredDocument } from './document/document.ts';
import type { History } from '../memory/history.ts';
import { createJournal, type Journal } from './journal/journal.ts';
import type { JournalFile } from './journal/journal-files.ts';
import { keepTorn, setAside } from './journal/quarantine.ts';
import { type Recovered, removeJournals } from './recovery.ts';
import type { DiskReserve } from './document/disk-reserve.ts';
import type { EntryIndex } from '../memory/entry-index.ts';
import type { RegistryFiles, Written } from './document/compactor.ts';

export interface PreparationOptions {
  readonly file: string;
  readonly document: StoredDocument | undefined;
  readonly options: () => JsonObject;
  readonly index: EntryIndex;
  readonly history: History;
  readonly room: DiskReserve;
  readonly warn: (message: string) => void;
  readonly onStep: (step: string) => void;
}

export interface PreparedFiles extends RegistryFiles {
  readonly firstJournal: Journal;
}

/**
 * Returns the function that makes the disk ready for writes after a recovery. It removes leftovers, makes the
 * last journal durable, and begins a journal that no earlier process has written to. It may be called again
 * after a failure, and repeats no step that succeeded. It throws a BrokerError: `storage_full` where there is
 * no room, `unavailable` for any other failure of the disk.
 */
export function createPreparation(
  setup: PreparationOptions,
  recovered: Recovered,
): () => Promise<PreparedFiles> {
  // Released at the end, since it holds a whole journal.
  let left: Recovered | undefined = recovered;
  return async () => {
    if (left === undefined) throw new BrokerError('internal', `The registry ${setup.file} is open already`);
    const prepared = await prepareFiles(setup, left);
    left = undefined;
    return prepared;
  };
}

async function prepareFiles(setup: PreparationOptions, recovered: Recovered): Promise<PreparedFiles> {
  try {
    await removeLeftovers(setup.file);
    await setup.room.giveUp();
    return await prepare(setup, recovered);
  } catch (error) {
    if (!isFull(error) || !(await giveUpHistory(setup, recovered))) throw failed(setup, error);
  }
  try {
    return await prepare(setup, { ...recovered, journals: neededOf(recovered) });
  } catch (error) {
    throw failed(setup, error);
  }
}

function failed({ file }: PreparationOptions, error: unknown): BrokerError {
  return asBrokerError(error, `Cannot open the registry ${file}`);
}

function neededOf({ journals, fileRevision }: Recovered): JournalFile[] {
  return journals.filter(({ end }) => end > fileRevision);
}

/**
 * Removes journals that only watches need, for the room that the registry needs. False where there are none.
 */
async function giveUpHistory({ file, history }: PreparationOptions, recovered: Recovered): Promise<boolean> {
  const needed = neededOf(recovered);
  const watched = recovered.journals.filter((journal) => !needed.includes(journal));
  if (watched.length === 0) return false;
  history.forget(needed[0]?.base ?? recovered.fileRevision);
  // Otherwise one of them is the current journal. If the start fails after this, the next one must not report
  // it as missing.
  if (needed.length === 0) await removeCurrent(file);
  await removeJournals(watched.map(({ path }) => path));
  return true;
}

async function prepare(setup: PreparationOptions, recovered: Recovered): Promise<PreparedFiles> {
  const { file, index, onStep, warn } = setup;
  const { identity, origin, journals, obsolete, damaged } = recovered;
  for (const { path, why } of damaged) {
    if ((await ifPresent(stat(path))) === undefined) continue;
    const aside = await setAside(path);
    warn(`${why}. No entry depends on it: it was renamed to ${aside}, and watches begin anew`);
  }
  await secureLast(recovered, setup);
  const written = origin === 'written' ? await asItIs(setup, recovered) : await writeFile(setup, recovered);
  onStep('obsolete');
  await removeJournals(obsolete);
  const firstJournal = await createJournal(file, identity.id, index.revision, onStep);
  try {
    await writeCurrent(file, identity.id, index.revision, onStep);
  } catch (error) {
    await firstJournal.close();
    throw error;
  }
  return { retired: journals.filter(({ base }) => base !== index.revision), written, firstJournal };
}

/**
 * Rewrites the last journal before anything builds on it. After a crash, or after a failed fsync, the text
 * that was read may be only in the system's cache. Its torn end is left out, and kept in a separate file.
 */
async function secureLast({ last }: Recovered, { warn, onStep }: PreparationOptions): Promise<void> {
  if (last === undefined) return;
  const good = last.content.subarray(0, last.text.end);
  if (last.text.tail !== undefined) {
    const torn = last.content.subarray(last.text.end);
    const aside = await keepTorn(last.path, torn);
    onStep('torn-kept');
    warn(
      `${last.path} ends in an incomplete record, as a crash leaves it: cut at byte offset ${last.text.end}, ` +
        `the ${torn.length} bytes cut off are kept in ${aside}`,
    );
  }
  await replaceFile(last.path, [good], { mode: 0o600 });
  onStep('journal-secured');
}

async function writeFile(setup: PreparationOptions, { identity }: Recovered): Promise<Written> {
  const options = setup.options();
  const snapshot = setup.index.snapshot();
  try {
    const text = documentText(options, identity, snapshot);
    const bytes = await replaceFile(setup.file, text, { onStep: (step) => setup.onStep(`file-${step}`) });
    return { revision: snapshot.revision, options: JSON.stringify(options), bytes };
  } finally {
    snapshot.end();
  }
}

async function asItIs({ file, document }: PreparationOptions, { fileRevision }: Recovered): Promise<Written> {
  const { size } = await stat(file);
  return { revision: fileRevision, options: JSON.stringify(optionsOf(document)), bytes: size };
}
