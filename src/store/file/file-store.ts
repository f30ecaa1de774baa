import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { clearInterval, setInterval } from 'node:timers';
import { resolveFile } from '../../config/atomic-write.ts';
import type { JsonObject } from '../../protocol/data.ts';
import type { Change, Entry } from '../../protocol/entry.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Mutation, MutationResult, NewEntry, Store, StoreHealth, WatchItem } from '../store.ts';
import { createCommitter } from './committer.ts';
import { createExpiry } from './expiry.ts';
import { createHistory } from './history.ts';
import { makeEntry } from './records.ts';
import { prepareFiles } from './opening.ts';
import { createRewriter, type FileEdits, type WrittenBackup } from './rewriter.ts';
import { createTable } from './table.ts';
import { covers, createWatchHub } from './watchers.ts';

export interface FileStoreOptions {
  /** The configuration file, whose key `services` holds the entries. The caller holds its lock (`lock.ts`). */
  readonly file: string;
  /** The parsed content of the file as it stands; nothing where there is none yet. */
  readonly document: JsonObject | undefined;
  /** The options to write beside the entries: all top-level keys, `services` with its `_…` keys alone. */
  readonly options: () => JsonObject;
  readonly log?: (level: 'info' | 'warn' | 'error', message: string) => void;
  /** How edits of the file by others are kept; default: nobody edits it. */
  readonly edits?: FileEdits;
  /** How often the file is rewritten if something changed; default 10 minutes. */
  readonly rewriteIntervalMs?: number;
  /** The file is rewritten when the journal outgrows this and the file; default 8 MiB. */
  readonly journalBytes?: number;
  /** How many changes a watch can resume across; default 10,000. */
  readonly historyChanges?: number;
  /** Their bytes in the journal at most; default 16 MiB. */
  readonly historyBytes?: number;
  /** How far a watch may fall behind, in bytes of the journal; default 1 MiB. */
  readonly watchBytes?: number;
  /** How often to try again after the disk was full; default 1 s. */
  readonly probeMs?: number;
  /** Told before each step that changes the disk outside of a commit: where a test lets the process die. */
  readonly onStep?: (step: string) => void;
}

export interface FileStore extends Store {
  /** Tells this registry from all others; kept in the file. */
  readonly id: string;
  /**
   * Writes the file anew, with the options and entries of now.
   * @throws BrokerError `storage_full`, `unavailable`; the file and its journals stay valid.
   */
  rewrite(): Promise<void>;
  /**
   * Writes a backup: the file as of one moment, sealed, to the path that `target` gives for its revision. Throws as
   * {@link FileStore.rewrite} does; a failure leaves nothing there, and writes go on.
   */
  backUp(target: (revision: number) => string): Promise<WrittenBackup>;
  /** What a look at the disk shows to be amiss that no write has run into yet; nothing when all is well. */
  diskProblem(): Promise<string | undefined>;
}

const MIB = 1024 * 1024;
const BATCH_BYTES = 4 * MIB;
const RETRY_REWRITE_MS = 30_000;

/**
 * Opens the embedded store: one JSON file with a journal beside it (docs/storage.md).
 * @throws BrokerError `invalid_config` when what stands on disk is damaged, foreign, or changed outside of the broker:
 *   nothing is touched then. `storage_full` or `unavailable` when the disk does not let it be made ready for writes.
 */
export async function openFileStore(settings: FileStoreOptions): Promise<FileStore> {
  const log = settings.log ?? ((): void => undefined);
  const onStep = settings.onStep ?? ((): void => undefined);
  const file = await resolveFile(settings.file);
  const table = createTable();
  const history = createHistory({
    changes: settings.historyChanges ?? 10_000,
    bytes: settings.historyBytes ?? 16 * MIB,
  });
  const { identity, retired, written, firstJournal } = await prepareFiles({
    file,
    document: settings.document,
    options: settings.options,
    table,
    history,
    warn: (message) => log('warn', message),
    onStep,
  });
  let journal = firstJournal;
  const watches = createWatchHub(settings.watchBytes ?? MIB);
  const expiry = createExpiry(expire);
  let closing: Promise<void> | undefined;
  let rewriteAfter = 0;
  let rewriting = false;

  const committer = createCommitter({
    journal: () => journal,
    revision: () => table.revision,
    apply,
    onCommit: rewriteWhenDue,
    log,
    batchBytes: BATCH_BYTES,
    probeMs: settings.probeMs ?? 1000,
  });
  const rewriter = createRewriter({
    file,
    identity,
    table,
    history,
    committer,
    options: settings.options,
    journal: () => journal,
    setJournal: (next) => {
      journal = next;
    },
    retired,
    written,
    journalBytes: settings.journalBytes ?? 8 * MIB,
    edits: settings.edits,
    onStep,
  });
  await rewriter.retire();
  for (const entry of table.entries()) if (entry.ttlMs !== undefined) expiry.track(entry);
  const interval = setInterval(() => void rewriteQuietly(), settings.rewriteIntervalMs ?? 600_000);
  interval.unref();

  function apply(change: Change, bytes: number): void {
    table.apply(change);
    history.push(change, bytes);
    watches.publish(change, bytes);
    if (change.entry === undefined) expiry.forget(change.name);
    else expiry.track(change.entry);
  }

  function expire(name: string): Promise<MutationResult> {
    return mutate(name, (current) =>
      current !== undefined && expiry.isOver(current)
        ? { action: 'delete', expired: true }
        : { action: 'keep' },
    );
  }

  function mutate(name: string, mutation: Mutation): Promise<MutationResult> {
    if (closing) return rejected(stopping());
    if (committer.trouble?.final) {
      return Promise.reject(
        new BrokerError('unavailable', `Cannot store the entry: ${committer.trouble.reason}`),
      );
    }
    const pending = committer.pending(name);
    const current = pending ? pending.entry : table.get(name);
    try {
      const outcome = mutation(current);
      if (outcome.action === 'put') return committer.add('put', name, stateOf(name, outcome.entry));
      if (outcome.action === 'delete' && current !== undefined) {
        return committer.add(outcome.expired ? 'expire' : 'delete', name);
      }
      if (outcome.action === 'renew') expiry.renew(name);
    } catch (error) {
      return pending ? committer.after(pending.batch, undefined, error) : rejected(error);
    }
    if (pending) return committer.after(pending.batch, current);
    const { revision } = table;
    return Promise.resolve(current ? { entry: current, revision } : { revision });
  }

  function rewriteWhenDue(): void {
    if (!rewriting && rewriter.isDue() && performance.now() >= rewriteAfter) void rewriteQuietly();
  }

  async function rewriteQuietly(): Promise<void> {
    if (committer.trouble?.final) return;
    rewriting = true;
    try {
      await rewriter.rewriteIfChanged();
    } catch (error) {
      rewriteAfter = performance.now() + RETRY_REWRITE_MS;
      log('warn', `${messageOf(error)}; the registry goes on in its journal`);
    } finally {
      rewriting = false;
    }
  }

  function health(): StoreHealth {
    if (closing) return { writable: false, reason: 'the broker is stopping' };
    const { trouble } = committer;
    return trouble ? { writable: false, reason: trouble.reason } : { writable: true };
  }

  async function diskProblem(): Promise<string | undefined> {
    const looked = journal;
    try {
      await access(path.dirname(file), constants.W_OK | constants.X_OK);
      // A journal may be replaced, or closed, while it is looked at.
      if ((await looked.stands()) || looked !== journal || closing) return undefined;
      return `${looked.path} was moved or removed while it is written to: what is written now is lost with the process`;
    } catch (error) {
      if (looked !== journal || closing) return undefined;
      return `the registry's folder cannot be written: ${messageOf(error)}`;
    }
  }

  async function shutDown(): Promise<void> {
    clearInterval(interval);
    expiry.close();
    await committer.drained();
    watches.close();
    await rewriteQuietly();
    committer.close();
    await journal.close();
  }

  return {
    id: identity.id,
    get revision(): number {
      return table.revision;
    },
    get: (name) => Promise.resolve(table.get(name)),
    list: (options = {}) => Promise.resolve(table.page(options)),
    count: (prefix) => Promise.resolve(table.count(prefix)),
    mutate,
    watch(options = {}) {
      const watch = watches.open(options, backlogOf(options.after));
      if (closing) watches.close();
      return watch;

      function backlogOf(after: number | undefined): WatchItem[] {
        if (after === undefined) return [];
        if (after > table.revision || after < history.floor) {
          return [{ type: 'reset', revision: table.revision }];
        }
        return history.since(after).filter((change) => covers(options, change.name));
      }
    },
    health,
    rewrite: () => (closing ? rejected(stopping()) : rewriter.rewrite()),
    backUp: (target) => (closing ? rejected(stopping()) : rewriter.backUp(target)),
    diskProblem,
    close() {
      closing ??= shutDown();
      return closing;
    },
  };
}

function stateOf(name: string, entry: NewEntry): (revision: number) => Entry {
  // JSON has no NaN: a journal with one could not be read again.
  if (!Number.isFinite(entry.lastWriteTs) || !Number.isFinite(entry.ttlMs ?? 0)) {
    throw new BrokerError(
      'internal',
      `Invalid entry '${name}': its time and lifetime must be finite numbers`,
    );
  }
  return (revision) =>
    makeEntry(name, entry.data, entry.lastWriteTs, entry.lastWriteIp, revision, entry.ttlMs);
}

function stopping(): BrokerError {
  return new BrokerError('unavailable', 'The broker is stopping');
}

/** A refusal as it was thrown. */
function rejected(error: unknown): Promise<never> {
  // oxlint-disable-next-line typescript/prefer-promise-reject-errors
  return Promise.reject(error);
}
