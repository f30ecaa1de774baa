import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { clearInterval, setInterval } from 'node:timers';
import { resolveFile } from '../../config/atomic-write.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Guard, Mutation, MutationResult, Store, StoreHealth } from '../store.ts';
import { stateOf } from '../memory/new-entry.ts';
import { textOf } from '../memory/entry-size.ts';
import { createRegistryState, type StateLimits } from '../memory/registry-state.ts';
import type { Pending } from './journal/batch.ts';
import { createCommitter } from './journal/committer.ts';
import type { StoredDocument } from './document/document.ts';
import type { Journal } from './journal/journal.ts';
import { saveAtClose } from './document/save-at-close.ts';
import { missingJournal } from './journal/missing-journal.ts';
import { createPreparation } from './prepare-files.ts';
import { recover, type Recovery, recoveryIn } from './recovery.ts';
import { createDiskReserve } from './document/disk-reserve.ts';
import { createCompactor, type FileEdits, type WrittenBackup } from './document/compactor.ts';
import { createCompactionPolicy } from './document/compaction-policy.ts';

/** The options of {@link openFileStore}. */
export interface FileStoreOptions extends StateLimits {
  /**
   * The configuration file, whose key `services` holds the entries. The caller holds its lock (`lock.ts`).
   */
  readonly file: string;
  /**
   * The present content of the file, which the store takes over; undefined where the file does not exist yet.
   */
  readonly document: StoredDocument | undefined;
  /** The options to write beside the entries: all top-level keys, and of `services` only the `_…` keys. */
  readonly options: () => JsonObject;
  readonly log?: (level: 'info' | 'warn' | 'error', message: string) => void;
  /** Keeps edits of the file by users; default: there are none. */
  readonly edits?: FileEdits;
  /**
   * The longest time until a changed registry is written to the file, in milliseconds; default 10 minutes.
   */
  readonly rewriteIntervalMs?: number;
  /** The file is rewritten when the journal has more bytes than this and than the file; default 8 MiB. */
  readonly journalBytes?: number;
  /** The pause between two attempts after the disk was full, in milliseconds; default 1 s. */
  readonly probeMs?: number;
  /**
   * The most bytes of writes that wait for the disk; beyond them writes are refused with `unavailable`;
   * default 64 MiB.
   */
  readonly pendingBytes?: number;
  /** Called with the time until each commit was durable, in seconds; default: not called. */
  readonly onDurable?: (seconds: number) => void;
  /** The time in milliseconds after which health reports a commit as late; default 5 s. */
  readonly lateMs?: number;
  /** Called before each step that changes the disk outside of a commit; tests end the process there. */
  readonly onStep?: (step: string) => void;
}

/** The registry in one file and its journals. */
export interface FileStore extends Store {
  /** Identifies this registry; kept in the file. */
  readonly id: string;
  /**
   * Rewrites the file with the present options and entries.
   * @throws BrokerError `storage_full`, `unavailable`; the file and its journals stay valid.
   */
  rewrite(): Promise<void>;
  /**
   * Writes a backup: the file at one moment, sealed, to the path that `target` returns for its revision. It
   * throws as {@link FileStore.rewrite} does. A failure leaves no file there, and writes continue.
   */
  backUp(target: (revision: number) => string): Promise<WrittenBackup>;
  /** The repairs at its opening; undefined after a clean stop. */
  readonly recovery: Recovery | undefined;
  /** Why the last attempt to rewrite the file failed; undefined when it succeeded. */
  rewriteProblem(): string | undefined;
  /** The bytes of the present journal. */
  readonly journalBytes: number;
  /** The bytes that the next rewriting of the file, and the journal after it, need on the disk. */
  neededBytes(): number;
  /**
   * A problem with the disk that no write has met yet, found by a look at it; undefined when there is none.
   */
  diskProblem(): Promise<string | undefined>;
}

const MIB = 1024 * 1024;
const BATCH_BYTES = 4 * MIB;
const PENDING_BYTES = 64 * MIB;
const LATE_MS = 5000;

/**
 * Opens the embedded store: one JSON file with a journal beside it (docs/storage.md). On a full disk it opens
 * for reads only, and accepts writes once there is room.
 * @throws BrokerError `invalid_config` when the files are damaged, foreign, or changed outside of the broker:
 * nothing is changed then. `unavailable` when the disk cannot be made ready for writes, `storage_full` when
 * there is no registry yet and no room for one.
 */
export async function openFileStore(settings: FileStoreOptions): Promise<FileStore> {
  const log = settings.log ?? ((): void => undefined);
  const onStep = settings.onStep ?? ((): void => undefined);
  const probeMs = settings.probeMs ?? 1000;
  const file = await resolveFile(settings.file);
  const state = createRegistryState(settings, (name) => mutate(name, state.expire));
  const { index, history, quota, expiry } = state;
  const room = createDiskReserve(file, log);
  const warn = (message: string): void => log('warn', message);
  const setup = { ...settings, file, index, history, room, warn, onStep };
  const recovered = await recover(setup);
  const { identity } = recovered;
  const recovery = recoveryIn(recovered);
  const prepare = createPreparation(setup, recovered);
  const opened = await prepare().catch((error: BrokerError) => {
    if (error.code !== 'storage_full' || settings.document === undefined) throw error;
    return error;
  });
  let journal: Journal = missingJournal(file);
  let closing: Promise<void> | undefined;

  const committer = createCommitter({
    journal: () => journal,
    revision: () => index.revision,
    apply: state.apply,
    onCommit: () => compaction.committed(),
    onDurable: settings.onDurable ?? ((): void => undefined),
    makeRoom: () => compaction.makeRoom(),
    log,
    batchBytes: BATCH_BYTES,
    probeMs,
    pendingBytes: settings.pendingBytes ?? PENDING_BYTES,
    lateMs: settings.lateMs ?? LATE_MS,
  });
  const compactor = createCompactor({
    file,
    identity,
    index,
    history,
    committer,
    options: settings.options,
    journal: () => journal,
    setJournal,
    journalBytes: settings.journalBytes ?? 8 * MIB,
    edits: settings.edits,
    isHurried: () => closing !== undefined || committer.trouble !== undefined,
    onStep,
  });
  const compaction = createCompactionPolicy({
    compactor,
    room,
    committer,
    journal: () => journal,
    setJournal,
    prepare,
    isClosing: () => closing !== undefined,
    log,
    probeMs,
  });
  state.beginLifetimes();
  const interval = setInterval(() => void compaction.rewriteQuietly(), settings.rewriteIntervalMs ?? 600_000);
  interval.unref();
  if (opened instanceof BrokerError) committer.waitForRoom(opened);
  else await compaction.begin(opened);

  function setJournal(next: Journal): void {
    journal = next;
  }

  function mutate(name: string, mutation: Mutation, guard?: Guard): Promise<MutationResult> {
    if (closing) return rejected(stopping());
    if (committer.trouble?.final) {
      return Promise.reject(
        new BrokerError('unavailable', `Cannot store the entry: ${committer.trouble.reason}`),
      );
    }
    const pending = committer.pending(name);
    const current = pending ? pending.entry : index.get(name);
    const guarded = guard && committer.pending(guard.name);
    try {
      guard?.check(guarded ? guarded.entry : index.get(guard.name));
      const outcome = mutation(current);
      if (outcome.action === 'put') {
        const make = stateOf(name, outcome.entry);
        const text = textOf({ name, data: outcome.entry.data });
        const added = quota.admit(name, text.size, pending?.size ?? index.bytesOf(name));
        return quota.track(added, committer.add('put', name, { make, text }));
      }
      if (outcome.action === 'delete' && current !== undefined) {
        const before = pending?.size ?? index.bytesOf(name);
        return quota.track(-before, committer.add(outcome.expired ? 'expire' : 'delete', name));
      }
      if (outcome.action === 'renew') expiry.renew(name);
    } catch (error) {
      const seen = later(guarded, pending);
      return seen ? committer.after(seen.batch, undefined, error) : rejected(error);
    }
    const seen = later(guarded, pending);
    if (seen) return committer.after(seen.batch, current);
    const { revision } = index;
    return Promise.resolve(current ? { entry: current, revision } : { revision });
  }

  function health(): StoreHealth {
    if (closing) return { writable: false, reason: 'the broker is stopping' };
    const usage = settings.maxBytes === undefined ? {} : { usage: quota.usage() };
    const reason = committer.trouble?.reason ?? committer.late;
    return reason === undefined ? { writable: true, ...usage } : { writable: false, reason, ...usage };
  }

  async function diskProblem(): Promise<string | undefined> {
    const looked = journal;
    try {
      await access(path.dirname(file), constants.W_OK | constants.X_OK);
      const link = compaction.isReady ? looked.link() : 'own';
      // A journal may be replaced or closed during this check.
      if (link === 'own' || looked !== journal || closing) return undefined;
      const problem = `${looked.path} was ${link === 'missing' ? 'moved or removed' : 'replaced'} while it is written to`;
      committer.stop(`${problem}: what is written now is lost with the process`, false);
      return problem;
    } catch (error) {
      if (looked !== journal || closing) return undefined;
      return `the registry's folder cannot be written: ${messageOf(error)}`;
    }
  }

  async function shutDown(): Promise<void> {
    clearInterval(interval);
    expiry.close();
    // A probe in progress must not write to the descriptor of a closed journal, which may belong to another
    // file by then.
    committer.close();
    await committer.drained();
    state.end(stopping());
    const { trouble } = committer;
    const { revision } = index;
    const { rewriteAlone, giveUpHistory, exclusively } = compactor;
    const tasks = { rewrite: compaction.rewriteNow, rewriteAlone, giveUpHistory, exclusively };
    try {
      const parts = { file, identity, journal: () => journal, revision, trouble, onStep };
      if (compaction.isReady) await saveAtClose({ ...parts, ...tasks });
    } finally {
      // All writes must be complete before another broker may use the file.
      await compactor.settled();
      await journal.close();
      await room.giveUp();
    }
  }

  return {
    id: identity.id,
    get revision(): number {
      return index.revision;
    },
    get: state.get,
    peek: state.peek,
    lifetimeLeft: state.lifetimeLeft,
    list: state.list,
    count: state.count,
    waitForEntry: state.waitForEntry,
    waitForCount: state.waitForCount,
    watch: state.watch,
    mutate,
    health,
    rewrite: () =>
      closing ? rejected(stopping()) : compaction.isReady ? compactor.rewrite() : rejected(notReady()),
    backUp: (target) => (closing ? rejected(stopping()) : compactor.backUp(target)),
    recovery,
    rewriteProblem: () => compaction.problem,
    get journalBytes(): number {
      return journal.size;
    },
    neededBytes: () => compactor.neededBytes(),
    diskProblem,
    close() {
      closing ??= shutDown();
      return closing;
    },
  };
}

/** The one of two states that becomes durable last. */
function later(a: Pending | undefined, b: Pending | undefined): Pending | undefined {
  return (a?.batch.number ?? 0) > (b?.batch.number ?? 0) ? a : b;
}

function notReady(): BrokerError {
  return new BrokerError(
    'storage_full',
    'Cannot write the file: there was no room on the disk when the broker started',
  );
}

function stopping(): BrokerError {
  return new BrokerError('unavailable', 'The broker is stopping');
}

/** A rejection with the very reason that was thrown. */
function rejected(error: unknown): Promise<never> {
  // oxlint-disable-next-line typescript/prefer-promise-reject-errors
  return Promise.reject(error);
}
