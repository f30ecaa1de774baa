import { stat } from 'node:fs/promises';
import path from 'node:path';
import { ifPresent, syncDirectory } from '../../../config/atomic-write.ts';
import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import type { WriteProblem } from '../write-problem.ts';
import { readCurrent, writeClean } from '../journal/current-journal.ts';
import type { RegistryIdentity } from './document.ts';
import type { Journal } from '../journal/journal.ts';

export interface SaveAtCloseOptions {
  readonly file: string;
  readonly identity: RegistryIdentity;
  /** The present journal. */
  readonly journal: () => Journal;
  readonly revision: number;
  readonly trouble: WriteProblem | undefined;
  /** Runs a task while neither the file is written nor the journal changed. */
  readonly exclusively: (task: () => Promise<void>) => Promise<void>;
  /** Writes the file, and switches to a new journal if the present one is long. */
  readonly rewrite: () => Promise<void>;
  /** Writes the file without changing the journals. */
  readonly rewriteAlone: () => Promise<void>;
  /** Removes journals that only watches need. */
  readonly giveUpHistory: () => Promise<boolean>;
  readonly onStep: (step: string) => void;
}

/**
 * Writes the file when a store closes, and records that it needs no journal.
 * @throws BrokerError `unavailable` that says what a failure means for acknowledged writes.
 */
export async function saveAtClose(options: SaveAtCloseOptions): Promise<void> {
  const { file, identity, journal, revision, trouble, onStep } = options;
  try {
    if (trouble?.final && trouble.saved) throw new Error(`${file} was not written: ${trouble.reason}`);
    // A rewriting that began before the stop records the next journal on the disk before it uses it here.
    await options.exclusively(() => checkOwn(options));
    // If a user removed the file, the entries must still be kept: without the file, the next start is
    // refused.
    const isMissing = (await ifPresent(stat(file))) === undefined;
    if (trouble?.final || isMissing) await options.rewriteAlone();
    else await options.rewrite();
    if (journal().link() === 'missing') await giveUpHistory(options);
    await writeClean(file, identity.id, revision, onStep);
  } catch (error) {
    throw new BrokerError('unavailable', `${messageOf(error)}; ${whatIsKept(journal())}`, { cause: error });
  }
}

/**
 * The journals before a lost one end before the file does: the next start would take them for an older copy.
 * Until the stop is recorded as clean, it refuses for the lost journal, so they must be gone for good by then.
 */
async function giveUpHistory({ file, giveUpHistory: remove }: SaveAtCloseOptions): Promise<void> {
  if (await remove()) await syncDirectory(path.dirname(file));
}

function whatIsKept(journal: Journal): string {
  try {
    return journal.link() === 'own'
      ? 'every acknowledged write is in the journals'
      : 'writes that were acknowledged are lost with this process';
  } catch (error) {
    return `whether the journals hold every acknowledged write is unknown: ${messageOf(error)}`;
  }
}

/** Another broker's files stay unchanged. If the journal was removed, only memory has the entries. */
async function checkOwn({ file, identity, journal, trouble }: SaveAtCloseOptions): Promise<void> {
  const { base, link } = journal();
  const current = await readCurrent(file);
  const isOurs =
    current === undefined ? !trouble?.final : current.registry === identity.id && current.base === base;
  if (link() !== 'replaced' && isOurs) return;
  throw new Error(
    `the journals beside ${file} no longer belong to this broker, so the file was left unchanged`,
  );
}
