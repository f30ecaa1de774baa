import { clearTimeout, setImmediate, setTimeout } from 'node:timers';
import { formatDuration } from '../../../protocol/formats/duration.ts';
import type { Change, Entry } from '../../../protocol/registry/entry.ts';
import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import type { MutationResult } from '../../store.ts';
import { type Batch, newBatch, type NewState, type Pending, settle } from './batch.ts';
import { isFull } from '../disk-errors.ts';
import type { AppendFailure, Journal } from './journal.ts';
import { encodeRecord } from './records.ts';
import type { WriteProblem } from '../write-problem.ts';

/**
 * Group commit: changes that arrive while one batch is being made durable form the next. A change is applied and settled only once
 * its batch is durable.
 */
export interface Committer {
  /** The state that a mutation of `name` must see although it is not durable yet; undefined when the durable one is the latest. */
  pending(name: string): Pending | undefined;
  /** Queues a change to its next revision; resolves once it is durable. */
  add(type: Change['type'], name: string, state?: NewState): Promise<MutationResult>;
  /** Settles with `batch`: with `refusal`, or with a result that shows `entry`. */
  after(batch: Batch, entry: Entry | undefined, refusal?: unknown): Promise<MutationResult>;
  /** Why writes are refused now: for good (`final`), or while there is no room. */
  readonly trouble: WriteProblem | undefined;
  /**
   * Refuses writes from now on.
   * @param saved whether every acknowledged write is still on the disk; default: yes.
   */
  stop(reason: string, saved?: boolean): void;
  /** Refuses writes until there is room again; it calls {@link CommitterOptions.makeRoom} at intervals. */
  waitForRoom(error: Error): void;
  /** Why a commit in progress is late; undefined when none is. */
  readonly late: string | undefined;
  /** Runs `task` while no batch is being written; batches wait meanwhile. It rejects once writes are refused for good. */
  between<T>(task: () => Promise<T>): Promise<T>;
  /** Resolves when no batch is queued or being written. */
  drained(): Promise<void>;
  /** Ends the probes for room: only queued changes are still appended. */
  close(): void;
}

export interface CommitterOptions {
  /** The journal to append to; called for each batch. */
  readonly journal: () => Journal;
  /** The durable revision. */
  readonly revision: () => number;
  /** Takes over changes that have become durable, in the order of their revisions. */
  readonly apply: (change: Change, recordBytes: number, size: number) => void;
  /** Called after each batch. */
  readonly onCommit: () => void;
  /** Called with the time until each batch was durable, in seconds. */
  readonly onDurable: (seconds: number) => void;
  /**
   * Called when the disk is full and no append is in progress: it removes files that can be spared. True when another attempt to
   * append makes sense. It must not reject.
   */
  readonly makeRoom: () => Promise<boolean>;
  readonly log: (level: 'info' | 'error', message: string) => void;
  /** The most bytes of a batch; further changes go to the next one. */
  readonly batchBytes: number;
  /** The pause between two probes for room, in milliseconds. */
  readonly probeMs: number;
  /** The most bytes of records that wait for the disk; beyond them writes are refused for the moment. */
  readonly pendingBytes: number;
  /** The time in milliseconds after which a commit is late, and health says so. */
  readonly lateMs: number;
}

/** The most attempts at one batch while the disk is full. */
const ROOM_ATTEMPTS = 3;

export function createCommitter(options: CommitterOptions): Committer {
  const { journal, revision, apply, log } = options;
  let queue: Batch[] = [];
  let made = 0;
  let flying: Batch | undefined;
  let lastRevision = revision();
  let scheduled = false;
  let holds = 0;
  /** Callers that wait for the batch in progress, and for an empty queue as well. */
  const landed: (() => void)[] = [];
  const drained: (() => void)[] = [];
  let trouble: WriteProblem | undefined;
  let probing: NodeJS.Timeout | undefined;
  let closed = false;
  let pendingBytes = 0;
  let flyingSince = 0;
  let lateTimer: NodeJS.Timeout | undefined;
  let lateTold = false;

  function pending(name: string): Pending | undefined {
    if (flying === undefined && queue.length === 0) return undefined;
    for (let i = queue.length - 1; i >= -1; i--) {
      const batch = i < 0 ? flying : queue[i];
      const state = batch?.states.get(name);
      if (batch !== undefined && state !== undefined)
        return { entry: state.change.entry, size: state.size, batch };
    }
    return undefined;
  }

  function openBatch(): Batch {
    const last = queue.at(-1);
    if (last !== undefined && last.bytes < options.batchBytes) return last;
    const batch = newBatch(++made);
    queue.push(batch);
    return batch;
  }

  function add(type: Change['type'], name: string, state?: NewState): Promise<MutationResult> {
    if (pendingBytes > options.pendingBytes) return Promise.reject(overloaded());
    const next = lastRevision + 1;
    const entry = state?.make(next);
    const change: Change = entry ? { type, name, revision: next, entry } : { type, name, revision: next };
    const record = encodeRecord(change, state?.text);
    const recordBytes = Buffer.byteLength(record);
    const item = { change, recordBytes, size: state?.text.size ?? 0 };
    lastRevision = next;
    const batch = openBatch();
    batch.items.push(item);
    batch.records.push(record);
    batch.bytes += recordBytes;
    pendingBytes += recordBytes;
    batch.states.set(name, item);
    schedule();
    return new Promise((resolve, reject) => {
      const result = entry ? { entry, revision: next } : { revision: next };
      batch.waiters.push({ resolve, reject, result, writes: true, refusal: undefined });
    });
  }

  // One turn of the event loop lets all requests that are ready now share one sync.
  function schedule(): void {
    if (scheduled || flying !== undefined || holds > 0 || queue.length === 0) return;
    scheduled = true;
    setImmediate(flush);
  }

  function overloaded(): BrokerError {
    return new BrokerError(
      'unavailable',
      `Cannot store the entry: ${pendingBytes} bytes of writes wait for the disk, and at most ${options.pendingBytes} may; nothing was stored`,
      { retryAfter: 1 },
    );
  }

  function flush(): void {
    scheduled = false;
    if (flying !== undefined || holds > 0) return;
    flying = queue.shift();
    if (flying === undefined) return;
    flyingSince = performance.now();
    lateTimer = setTimeout(tellLate, options.lateMs).unref();
    append(flying, 1);
  }

  function append(batch: Batch, attempt: number): void {
    journal().append(batch.records, batch.bytes, (failure) => {
      if (failure) failed(failure, batch, attempt);
      else committed();
    });
  }

  function tellLate(): void {
    lateTold = true;
    log('error', `The disk is late: ${lateness() ?? ''}`);
  }

  function lateness(): string | undefined {
    if (flying === undefined) return undefined;
    const ms = performance.now() - flyingSince;
    return ms < options.lateMs
      ? undefined
      : `a commit to ${journal().path} has not ended for ${formatDuration(ms)}; writes wait for it`;
  }

  /** Ends the batch in progress, after its success or failure. */
  function land(): Batch | undefined {
    const batch = flying;
    flying = undefined;
    pendingBytes -= batch?.bytes ?? 0;
    clearTimeout(lateTimer);
    if (lateTold)
      log(
        'info',
        `The commit that was late has ended after ${formatDuration(performance.now() - flyingSince)}`,
      );
    lateTold = false;
    return batch;
  }

  function committed(): void {
    const batch = land();
    if (batch === undefined) return;
    options.onDurable((performance.now() - flyingSince) / 1000);
    if (trouble?.final === false) {
      trouble = undefined;
      log('info', 'There is room on the disk again: the registry accepts writes');
    }
    for (const { change, recordBytes, size } of batch.items) apply(change, recordBytes, size);
    for (const waiter of batch.waiters) settle(waiter);
    goOn();
    options.onCommit();
  }

  function goOn(): void {
    if (flying !== undefined) return;
    for (const resolve of landed.splice(0)) resolve();
    if (queue.length === 0) for (const resolve of drained.splice(0)) resolve();
    schedule();
  }

  function failed({ step, error }: AppendFailure, batch: Batch, attempt: number): void {
    if (step === 'write' && isFull(error)) {
      journal().rollback((problem) => {
        if (problem) stopFlying(`cutting off an incomplete write failed: ${messageOf(problem)}`);
        else void full(error, batch, attempt);
      });
      return;
    }
    if (step === 'link') {
      stopFlying(`${messageOf(error)}: what was written since is lost with the process`, false);
      return;
    }
    // A failed sync marks its data in the cache as clean, so another sync would report a false success.
    stopFlying(`${step === 'sync' ? 'syncing' : 'writing'} ${journal().path} failed: ${messageOf(error)}`);
  }

  /** The bytes may have reached the disk, and a restart then finds them: whether the write happened is unknown until then. */
  function stopFlying(reason: string, saved = true): void {
    const refused = stop(reason, saved);
    const unknown = new BrokerError(
      'outcome_unknown',
      `Whether the entry was stored is unknown, and shows after a restart: ${trouble?.reason ?? reason}`,
    );
    rejectFlying(unknown, refused);
  }

  async function full(error: Error, batch: Batch, attempt: number): Promise<void> {
    const isWorthIt = attempt < ROOM_ATTEMPTS && (await options.makeRoom());
    if (isWorthIt && trouble?.final !== true) {
      append(batch, attempt + 1);
      return;
    }
    waitForRoom(error);
    const code = trouble?.final ? 'unavailable' : 'storage_full';
    const refused = new BrokerError(code, `Cannot store the entry: ${trouble?.reason ?? ''}`, {
      cause: error,
    });
    rejectFlying(refused, refused);
  }

  function waitForRoom(error: Error): void {
    if (trouble === undefined) {
      const reason = `no room on the disk for the registry's journal: ${messageOf(error)}`;
      trouble = { final: false, reason, saved: true };
      log('error', `The registry refuses writes: ${reason}`);
    }
    if (!closed) probing ??= setTimeout(probe, options.probeMs).unref();
  }

  /** An empty batch shows whether there is room again, so that health is right without a client's write. */
  function probe(): void {
    probing = undefined;
    if (trouble?.final !== false || flying !== undefined || queue.length > 0) return;
    openBatch();
    schedule();
  }

  function stop(reason: string, saved: boolean): BrokerError {
    if (trouble?.final !== true) {
      const since = new Date().toISOString();
      trouble = {
        final: true,
        saved,
        reason: `the registry is read-only since ${since}: ${reason}; restart the broker once the disk works again`,
      };
      log('error', `From now on ${trouble.reason}`);
    }
    const error = new BrokerError('unavailable', `Cannot store the entry: ${trouble.reason}`);
    rejectQueued(error);
    goOn();
    return error;
  }

  /** Later batches were decided on the state that has failed, so they fail with it. */
  function rejectFlying(error: BrokerError, refused: BrokerError): void {
    const batch = land();
    for (const waiter of batch?.waiters ?? []) waiter.reject(waiter.writes ? error : refused);
    rejectQueued(refused);
    lastRevision = revision();
    goOn();
  }

  function rejectQueued(error: BrokerError): void {
    const batches = queue;
    queue = [];
    for (const batch of batches) {
      pendingBytes -= batch.bytes;
      for (const waiter of batch.waiters) waiter.reject(error);
    }
  }

  function whenTold(waiting: (() => void)[]): Promise<void> {
    return new Promise((resolve) => {
      waiting.push(resolve);
      goOn();
    });
  }

  return {
    pending,
    add,
    after(batch, entry, refusal) {
      return new Promise((resolve, reject) => {
        // The revision of the batch's last change: later ones may change the entry.
        const at = batch.items.at(-1)?.change.revision ?? revision();
        const result = entry ? { entry, revision: at } : { revision: at };
        batch.waiters.push({ resolve, reject, result, writes: false, refusal });
      });
    },
    get trouble(): WriteProblem | undefined {
      return trouble;
    },
    get late(): string | undefined {
      return lateness();
    },
    stop(reason, saved = true) {
      stop(reason, saved);
    },
    waitForRoom,
    async between(task) {
      holds++;
      try {
        await whenTold(landed);
        if (trouble?.final) throw new BrokerError('unavailable', `Cannot go on: ${trouble.reason}`);
        return await task();
      } finally {
        holds--;
        schedule();
      }
    },
    drained: () => whenTold(drained),
    close() {
      closed = true;
      clearTimeout(probing);
    },
  };
}
