import { stat } from 'node:fs/promises';
import { removeLeftovers, replaceFile } from '../../config/atomic-write.ts';
import type { JsonObject } from '../../protocol/data.ts';
import { asBrokerError } from './disk-errors.ts';
import { documentText, optionsOf, type RegistryIdentity } from './document.ts';
import { createJournal, type Journal } from './journal.ts';
import type { JournalFile } from './journal-files.ts';
import { recover, type RecoveryOptions, removeJournals } from './recovery.ts';
import type { Written } from './rewriter.ts';

export interface OpeningOptions extends RecoveryOptions {
  readonly options: () => JsonObject;
}

export interface Opened {
  readonly identity: RegistryIdentity;
  readonly retired: JournalFile[];
  readonly written: Written;
  readonly firstJournal: Journal;
}

/**
 * Recovers the registry and leaves the disk ready for writes: the file up to date where a crash left it behind, and a
 * journal that no earlier process has written to.
 */
export async function prepareFiles(setup: OpeningOptions): Promise<Opened> {
  const { file, table, onStep } = setup;
  try {
    const { identity, journals, obsolete, mustRewrite } = await recover(setup);
    await removeLeftovers(file);
    const written = mustRewrite ? await writeFile(setup, identity) : await asItStands(setup);
    onStep('obsolete');
    await removeJournals(obsolete);
    const firstJournal = await createJournal(file, identity.id, table.revision, onStep);
    const retired = journals.filter(({ base }) => base !== table.revision);
    return { identity, retired, written, firstJournal };
  } catch (error) {
    throw asBrokerError(error, `Cannot open the registry ${file}`);
  }
}

async function writeFile(setup: OpeningOptions, identity: RegistryIdentity): Promise<Written> {
  const options = setup.options();
  const snapshot = setup.table.snapshot();
  const text = documentText(options, identity, snapshot);
  const bytes = await replaceFile(setup.file, text, { onStep: (step) => setup.onStep(`file-${step}`) });
  snapshot.end();
  return { revision: snapshot.revision, options: JSON.stringify(options), bytes };
}

async function asItStands({ file, document, table }: OpeningOptions): Promise<Written> {
  const { size } = await stat(file);
  return { revision: table.revision, options: JSON.stringify(optionsOf(document)), bytes: size };
}
