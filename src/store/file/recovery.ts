import { rm } from 'node:fs/promises';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { type CurrentJournal, currentPath, readCurrent } from './journal/current-journal.ts';
import {
  readDocument,
  type RegistryDocument,
  type RegistryIdentity,
  type StoredDocument,
} from './document/document.ts';
import type { History } from '../memory/history.ts';
import {
  type JournalFile,
  listJournals,
  type LoadedJournal,
  loadJournal,
  refusal,
} from './journal/journal-files.ts';
import type { EntryIndex } from '../memory/entry-index.ts';

export interface RecoveryOptions {
  readonly file: string;
  /** The content of the file; undefined where the file does not exist yet. */
  readonly document: StoredDocument | undefined;
  /** Filled with the present state. */
  readonly index: EntryIndex;
  /** Filled with the changes in the journals; default: they are not kept. */
  readonly history?: History;
}

/** The registry of file and journals. The disk is unchanged. */
export interface Recovered {
  readonly identity: RegistryIdentity;
  readonly origin: RegistryDocument['origin'];
  /** The revision of the file. */
  readonly fileRevision: number;
  /** The journals that lead to the present state, the oldest first. */
  readonly journals: readonly JournalFile[];
  /**
   * The last written journal; undefined after a clean stop, when no process can be writing to it and the
   * present state does not need it.
   */
  readonly last: LoadedJournal | undefined;
  /** The number of changes in a journal that the file did not hold. */
  readonly replayed: number;
  /** Journals that are no longer needed. */
  readonly obsolete: readonly string[];
  /** Damaged journals that the present state does not need. */
  readonly damaged: readonly { readonly path: string; readonly why: string }[];
}

/** The repairs of a start after a crash. No acknowledged write is lost. */
export interface Recovery {
  /** The number of changes that were taken from the journals, since the file did not hold them yet. */
  readonly replayed: number;
  /**
   * The bytes of an incomplete record that were cut off the end of the journal; a file beside it keeps them.
   */
  readonly tornBytes: number;
}

/** The repairs; undefined after a clean stop, and for a new registry. */
export function recoveryIn({ last, replayed }: Recovered): Recovery | undefined {
  return last && { replayed, tornBytes: last.content.length - last.text.end };
}

interface Found {
  readonly path: string;
  readonly base: number;
}

/**
 * Fills `index` and `history` from the file and its journals.
 * @throws BrokerError `invalid_config` for damage that a crash does not explain, and that affects the present
 * state.
 */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  const { file, index, history } = options;
  const document = readDocument(options.document, file);
  // This comes before the list of journals. A running broker removes the named journal only after it has
  // named another one.
  const current = await readCurrent(file);
  const found = await listJournals(file);
  checkOrigin(document, options.document, found, current, file);
  checkCurrent(document, found, current, file);
  index.load(document.entries, document.sizes, document.revision);
  const relevant = found.filter(({ base }) => base >= document.since);
  const read = await readJournals(document, relevant, current, options);
  const recovered: Recovered = {
    identity: { id: document.id, since: document.since },
    origin: document.origin,
    fileRevision: document.revision,
    ...read,
    obsolete: [
      ...found.filter(({ base }) => base < document.since).map(({ path }) => path),
      ...read.obsolete,
    ],
  };
  return document.origin === 'edited' ? acceptEdits(recovered, index, history) : recovered;
}

/** A file without `_registry` begins a registry; journals beside it then belong to a missing file. */
function checkOrigin(
  { origin }: RegistryDocument,
  content: StoredDocument | undefined,
  [first]: readonly Found[],
  current: CurrentJournal | undefined,
  file: string,
): void {
  const evidence = first?.path ?? (current?.base === undefined ? undefined : currentPath(file));
  if (origin !== 'new' || evidence === undefined) return;
  const what = content === undefined ? 'does not exist' : 'has no "_registry"';
  throw refusal(evidence, `${file} ${what}; put the right file back, or move the journals away`);
}

function checkCurrent(
  { id, since }: RegistryDocument,
  found: readonly Found[],
  current: CurrentJournal | undefined,
  file: string,
): void {
  const base = current?.base;
  if (current === undefined || base === undefined || base < since) return;
  const at = currentPath(file);
  if (current.registry !== id) throw refusal(at, `it is that of another registry ('${current.registry}')`);
  if (found.some((journal) => journal.base === base)) return;
  throw refusal(
    at,
    `the journal after revision ${base}, which it names, is missing, and acknowledged writes with it; ` +
      'put the journal back, or remove this file to go on without them',
  );
}

/**
 * Reads the journals in their order and applies the changes that the file does not hold. Only watches need
 * journals from wholly before the file: if one is damaged, they lose their history, and nothing else is lost.
 */
async function readJournals(
  document: RegistryDocument,
  found: readonly Found[],
  current: CurrentJournal | undefined,
  { file, index, history }: RecoveryOptions,
): Promise<Pick<Recovered, 'journals' | 'last' | 'replayed' | 'obsolete' | 'damaged'>> {
  let journals: JournalFile[] = [];
  const obsolete: string[] = [];
  const damaged: { path: string; why: string }[] = [];
  let last: LoadedJournal | undefined;
  let replayed = 0;
  const isClean = current?.cleanAt === document.revision && current.registry === document.id;
  const lastBefore = found.findLastIndex(({ base }) => base <= document.revision);
  if (lastBefore === -1 && found[0] !== undefined) throw begins(found[0], document.revision, file);
  const named = found.findIndex(({ base }) => base === current?.base);
  const firstNeeded = isClean ? lastBefore + 1 : Math.min(lastBefore, named === -1 ? lastBefore : named);
  history?.clear(found[0]?.base ?? document.revision);
  for (const [i, journal] of found.entries()) {
    const isLast = i === found.length - 1 || journal.base === current?.base;
    const end = journals.at(-1)?.end ?? Math.min(journal.base, document.revision);
    const isNeeded = i >= firstNeeded || end > document.revision;
    try {
      const loaded = await loadJournal(journal, document.id, isLast && isNeeded);
      if (isAbandoned(loaded, end, current)) {
        obsolete.push(journal.path);
        continue;
      }
      const isBefore = i <= lastBefore && end <= document.revision;
      if (loaded.base !== end && isBefore) beginAnew(loaded.base);
      else checkFollows(loaded, end);
      replayed += apply(loaded, document.revision, index, history);
      journals.push({ path: loaded.path, base: loaded.base, end: loaded.end, bytes: loaded.bytes });
      last = loaded;
    } catch (error) {
      if (isNeeded || !isDamage(error)) throw error;
      damaged.push({ path: journal.path, why: messageOf(error) });
      beginAnew(found[i + 1]?.base ?? document.revision);
    }
  }
  checkReaches(journals, document.revision, file);
  const isSettled = isClean && last?.text.tail === undefined && (last?.end ?? 0) <= document.revision;
  return { journals, last: isSettled ? undefined : last, replayed, obsolete, damaged };

  /** Watches cannot resume across a gap, so the changes before it are useless. */
  function beginAnew(base: number): void {
    obsolete.push(...journals.map(({ path }) => path));
    journals = [];
    last = undefined;
    history?.clear(base);
  }
}

function begins({ path, base }: Found, revision: number, file: string): BrokerError {
  return refusal(
    path,
    `it begins after revision ${base}, but ${file} ends at revision ${revision}: an older file was put back, or a journal is missing`,
  );
}

/**
 * Whether an empty journal was abandoned: it was created, but never written to, since the one before it
 * stayed in use.
 */
function isAbandoned(
  { base, changes }: LoadedJournal,
  end: number,
  current: CurrentJournal | undefined,
): boolean {
  if (changes.length > 0 || base === current?.base) return false;
  const isAfterCurrent = current?.base !== undefined && base > current.base;
  return base < end || (base === end && isAfterCurrent);
}

function checkFollows({ path, base }: LoadedJournal, end: number): void {
  if (base === end) return;
  throw refusal(path, `it begins after revision ${base}, but the journal before it ends at revision ${end}`);
}

/** Returns the number of changes that the file did not hold. */
function apply(
  { changes, sizes }: LoadedJournal,
  fileRevision: number,
  index: EntryIndex,
  history: History | undefined,
): number {
  let applied = 0;
  changes.forEach((change, i) => {
    if (change.revision > fileRevision) {
      index.apply(change);
      applied += 1;
    }
    history?.push(change, sizes[i] ?? 0);
  });
  return applied;
}

function checkReaches(journals: readonly JournalFile[], revision: number, file: string): void {
  const last = journals.at(-1);
  if (last === undefined || last.end >= revision) return;
  throw refusal(
    last.path,
    `it ends at revision ${last.end}, but ${file} is at revision ${revision} already: the journal is older than the file`,
  );
}

/** Whether the text that was read is damaged; a journal that could not be read now may be whole. */
function isDamage(error: unknown): boolean {
  if (!(error instanceof BrokerError) || error.code !== 'invalid_config') return false;
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  return code === undefined || code === 'EIO' || code === 'ENOENT';
}

/**
 * Accepts entries changed by hand, although which ones is not known. The registry's revision grows by one
 * that no journal has, and every entry of the file counts as written by it, so that conditional writes notice
 * the change. Watches start again.
 */
function acceptEdits(recovered: Recovered, index: EntryIndex, history: History | undefined): Recovered {
  const revision = index.revision + 1;
  for (const entry of index.entries()) {
    if (entry.revision > recovered.fileRevision) continue;
    index.apply({ type: 'put', name: entry.name, revision, entry: { ...entry, revision } });
  }
  index.revision = revision;
  history?.clear(revision);
  return {
    ...recovered,
    identity: { id: recovered.identity.id, since: revision },
    journals: [],
    obsolete: [...recovered.obsolete, ...recovered.journals.map(({ path }) => path)],
  };
}

/** Removes journals; a missing one is not an error. */
export async function removeJournals(paths: readonly string[]): Promise<void> {
  for (const journal of paths) await rm(journal, { force: true });
}
