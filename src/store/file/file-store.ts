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

export interface FileStoreOptions extends StateLimits {
  /** The configuration file, whose key `services` holds the entries. The caller holds its lock (`lock.ts`). */
  readonly file: string;
  /** The content of the file as it is, which the store takes over; nothing where there is none yet. */
  readonly document: StoredDocument | undefined;
  /** The options to write beside the entries: all top-level keys, `services` with its `_…` keys alone. */
  readonly options: () => JsonObject;
  readonly log?: (level: 'info' | 'warn' | 'error', message: string) => void;
  /** How edits of the file by others are kept; default: nobody edits it. */
  readonly edits?: FileEdits;
  /** How often the file is rewritten if something changed; default 10 minutes. */
  readonly rewriteIntervalMs?: number;
  /** The file is rewritten when the journal outgrows this and the file; default 8 MiB. */
  readonly journalBytes?: number;
  /** How often to try again after the disk was full; default 1 s. */
  readonly probeMs?: number;
  /** Bytes of writes that may wait for the disk; beyond them writes are refused with `unavailable`; default 64 MiB. */
  readonly pendingBytes?: number;
  /** Told how long each commit took to become durable, in seconds; default: nobody is. */
  readonly onDurable?: (seconds: number) => void;
  /** Health says that the disk is late when a commit takes longer than this; default 5 s. */
  readonly lateMs?: number;
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
  /** What was put right as it was opened; nothing after a clean stop. */
  readonly recovery: Recovery | undefined;
  /** Why the file could not be rewritten at the last attempt; nothing when all is well. */
  rewriteProblem(): string | undefined;
  /** Bytes of the journal that is written to. */
  readonly journalBytes: number;
  /** Bytes that the next rewriting of the file, and the journal after it, take on the disk. */
  neededBytes(): number;
  /** What a look at the disk shows to be amiss that no write has run into yet; nothing when all is well. */
  diskProblem(): Promise<string | undefined>;
}

const MIB = 1024 * 1024;
const BATCH_BYTES = 4 * MIB;
const PENDING_BYTES = 64 * MIB;
const LATE_MS = 5000;

/**
 * Opens the embedded store: one JSON file with a journal beside it (docs/storage.md). On a full disk it opens for reads
 * alone, and takes writes once there is room.
 * @throws BrokerError `invalid_config` when what is on the disk is damaged, foreign, or changed outside of the broker:
 *   nothing is touched then. `unavailable` when the disk does not let it be made ready for writes, `storage_full` when
 *   there is no registry yet and no room for one.
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
      // A journal may be replaced by the next one, or closed, while it is looked at.
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
    // A probe under way must not write to the descriptor of a journal that is closed: it may be another file's by then.
    committer.close();
    await committer.drained();
    state.end(stopping());
    const { trouble } = committer;
    const { revision } = index;
    const { rewriteAlone, exclusively } = compactor;
    try {
      const parts = { file, identity, journal: () => journal, revision, trouble, exclusively, onStep };
      if (compaction.isReady) await saveAtClose({ ...parts, rewrite: compaction.rewriteNow, rewriteAlone });
    } finally {
      // Whatever is still written must be in place before another broker may use the file.
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

/** A refusal as it was thrown. */
function rejected(error: unknown): Promise<never> {
  // oxlint-disable-next-line typescript/prefer-promise-reject-errors
  return Promise.reject(error);
}
