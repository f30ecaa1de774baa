import { access, open, rm } from 'node:fs/promises';
import path from 'node:path';
import { replaceFile, syncDirectory } from '../../config/atomic-write.ts';
import {
  readDocument,
  type RegistryDocument,
  type RegistryIdentity,
  type StoredDocument,
} from './document.ts';
import type { History } from './history.ts';
import { type JournalFile, listJournals, type LoadedJournal, loadJournal, refusal } from './journal-files.ts';
import type { Table } from './table.ts';

export interface Recovery {
  readonly identity: RegistryIdentity;
  /** The journals that lead to the present state, the oldest first. */
  readonly journals: readonly JournalFile[];
  /** Journals that no longer matter. */
  readonly obsolete: readonly string[];
  /** The file does not hold the present state: it must be written before anything else is. */
  readonly mustRewrite: boolean;
}

export interface RecoveryOptions {
  readonly file: string;
  readonly document: StoredDocument | undefined;
  readonly table: Table;
  readonly history: History;
  readonly warn: (message: string) => void;
  readonly onStep: (step: string) => void;
}

/**
 * Fills `table` and `history` from the file and its journals. Everything is checked before anything is touched; then a
 * torn end is put aside. Throws `invalid_config` for whatever cannot be explained by a crash.
 */
export async function recover(options: RecoveryOptions): Promise<Recovery> {
  const { table, history } = options;
  const { document, journals, obsolete } = await readState(options.file, options.document);
  fill(document, journals, table, history);
  await secureLast(document, journals, options);
  if (document.origin === 'edited') return acceptEdits(document, journals, obsolete, table, history);
  return {
    identity: { id: document.id, since: document.since },
    journals: journals.map(({ path: at, base, end }) => ({ path: at, base, end })),
    obsolete,
    mustRewrite: document.origin !== 'written' || table.revision > document.revision || isTorn(journals),
  };
}

/** What stands on the disk: read and checked, and nothing touched. */
export interface State {
  readonly document: RegistryDocument;
  /** Those that lead to the present state, the oldest first; the last one may have a torn end. */
  readonly journals: readonly LoadedJournal[];
  readonly obsolete: readonly string[];
}

export async function readState(file: string, content: StoredDocument | undefined): Promise<State> {
  const document = readDocument(content, file);
  const found = await listJournals(file);
  const [first] = found;
  if (document.origin === 'new' && first !== undefined) {
    const what = content === undefined ? 'does not exist' : 'has no "_registry"';
    throw refusal(first.path, `${file} ${what}; put the right file back, or move the journals away`);
  }
  const current = found.filter(({ base }) => base >= document.since);
  const journals: LoadedJournal[] = [];
  for (const [i, journal] of current.entries()) {
    journals.push(await loadJournal(journal, document.id, i === current.length - 1));
  }
  checkSequence(document, journals, file);
  const obsolete = found.filter(({ base }) => base < document.since).map((journal) => journal.path);
  return { document, journals, obsolete };
}

/** The journals must follow on each other without a gap, and the file must lie on their way. */
function checkSequence(
  { revision }: RegistryDocument,
  journals: readonly LoadedJournal[],
  file: string,
): void {
  const [first] = journals;
  if (first === undefined) return;
  if (first.base > revision) {
    throw refusal(
      first.path,
      `it begins after revision ${first.base}, but ${file} ends at revision ${revision}: an older file was put back, or a journal is missing`,
    );
  }
  let end = first.base;
  for (const journal of journals) {
    if (journal.base !== end) {
      throw refusal(
        journal.path,
        `it begins after revision ${journal.base}, but the journal before it ends at revision ${end}`,
      );
    }
    ({ end } = journal);
  }
  if (end >= revision) return;
  throw refusal(
    journals.at(-1)?.path ?? '',
    `it ends at revision ${end}, but ${file} is at revision ${revision} already: the journal is older than the file`,
  );
}

export function fill(
  document: RegistryDocument,
  journals: readonly LoadedJournal[],
  table: Table,
  history?: History,
): void {
  table.load(document.entries, document.sizes, document.revision);
  history?.clear(journals[0]?.base ?? document.revision);
  for (const { changes, sizes } of journals) {
    changes.forEach((change, i) => {
      if (change.revision > document.revision) table.apply(change);
      history?.push(change, sizes[i] ?? 0);
    });
  }
}

/**
 * After a crash, or after an fsync that failed, what was read of the last journal may stand in the system's cache alone.
 * So it is written anew before anything builds on it, without its torn end, which is kept in a file of its own.
 */
async function secureLast(
  document: RegistryDocument,
  journals: readonly LoadedJournal[],
  { warn, onStep }: RecoveryOptions,
): Promise<void> {
  const last = journals.at(-1);
  if (last === undefined || (last.end <= document.revision && !last.text.bad)) return;
  if (last.text.bad) {
    const torn = last.bytes.subarray(last.text.end);
    const aside = await keepAside(last.path, torn);
    onStep('torn-kept');
    warn(
      `${last.path} ends in an incomplete record, as a crash leaves it: cut at byte offset ${last.text.end}, ` +
        `the ${torn.length} bytes cut off are kept in ${aside}`,
    );
  }
  const good = last.bytes.subarray(0, last.text.end);
  await replaceFile(last.path, [good.toString()], { mode: 0o600 });
  onStep('journal-secured');
}

async function keepAside(journal: string, bytes: Uint8Array): Promise<string> {
  let aside: string;
  for (let n = 1; ; n++) {
    aside = `${journal}.torn-${n}`;
    if (!(await exists(aside))) break;
  }
  const handle = await open(aside, 'wx', 0o600);
  try {
    await handle.writeFile(bytes);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await syncDirectory(path.dirname(aside));
  return aside;
}

/**
 * Entries changed by hand: which ones is not known. So the registry takes a step that no journal leads to, every entry
 * of the file counts as written by it (a conditional write must not pass over the change), and watches begin anew.
 */
function acceptEdits(
  document: RegistryDocument,
  journals: readonly LoadedJournal[],
  obsolete: readonly string[],
  table: Table,
  history: History,
): Recovery {
  const revision = table.revision + 1;
  for (const entry of table.entries()) {
    if (entry.revision > document.revision) continue;
    table.apply({ type: 'put', name: entry.name, revision, entry: { ...entry, revision } });
  }
  table.revision = revision;
  history.clear(revision);
  return {
    identity: { id: document.id, since: revision },
    journals: [],
    obsolete: [...obsolete, ...journals.map((journal) => journal.path)],
    mustRewrite: true,
  };
}

export async function removeJournals(paths: readonly string[]): Promise<void> {
  for (const journal of paths) await rm(journal, { force: true });
}

function isTorn(journals: readonly LoadedJournal[]): boolean {
  return journals.at(-1)?.text.bad !== undefined;
}

async function exists(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  );
}
