import { setImmediate, setTimeout } from 'node:timers';
import type { Change, Entry } from '../../protocol/entry.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { MutationResult } from '../store.ts';
import { isFull } from './disk-errors.ts';
import type { AppendFailure, Journal } from './journal.ts';
import { encodeRecord } from './records.ts';

/**
 * Group commit: changes that arrive while one batch is being made durable form the next. A change is applied, and
 * settles, only once its batch is durable.
 */
export interface Committer {
  /** The state a mutation of `name` must see that is not durable yet; nothing when the durable state is the latest. */
  pending(name: string): Pending | undefined;
  /** Queues a change to its next revision; settles once it is durable. */
  add(type: Change['type'], name: string, state?: NewState): Promise<MutationResult>;
  /** Settles with `batch`: as `refusal`, or as a result that shows `entry`. */
  after(batch: Batch, entry: Entry | undefined, refusal?: unknown): Promise<MutationResult>;
  /** Why writes are refused now: for good (`final`), or while there is no room. */
  readonly trouble: Trouble | undefined;
  /** Refuses writes from now on. */
  stop(reason: string): void;
  /** Runs `task` while no batch is in flight; batches wait meanwhile. Rejects once writes are refused for good. */
  between<T>(task: () => Promise<T>): Promise<T>;
  /** Settles when nothing is queued or in flight. */
  drained(): Promise<void>;
  /** Ends the probing for room: the journal is about to be closed, and its descriptor may become another file's. */
  close(): void;
}

export type NewState = (revision: number) => Entry;

export interface Pending {
  readonly entry: Entry | undefined;
  readonly batch: Batch;
}

export interface Trouble {
  readonly final: boolean;
  readonly reason: string;
}

export interface Batch {
  readonly changes: Change[];
  readonly records: string[];
  readonly sizes: number[];
  /** Sum of `sizes`. */
  bytes: number;
  /** The latest state of each name in the batch. */
  readonly states: Map<string, Change>;
  readonly waiters: Waiter[];
}

interface Waiter {
  resolve(result: MutationResult): void;
  reject(reason: unknown): void;
  /** Absent: the result is `entry` as of the batch's last revision. */
  readonly result: MutationResult | undefined;
  readonly entry: Entry | undefined;
  readonly refusal: unknown;
}

export interface CommitterOptions {
  /** The journal to append to: looked up for each batch. */
  readonly journal: () => Journal;
  /** The durable revision. */
  readonly revision: () => number;
  /** Takes over changes that have become durable, in the order of their revisions. */
  readonly apply: (change: Change, recordBytes: number) => void;
  /** Called after each batch. */
  readonly onCommit: () => void;
  readonly log: (level: 'info' | 'error', message: string) => void;
  /** A batch takes no further change beyond this. */
  readonly batchBytes: number;
  /** How often to try whether there is room again. */
  readonly probeMs: number;
}

export function createCommitter(options: CommitterOptions): Committer {
  const { journal, revision, apply, log } = options;
  let queue: Batch[] = [];
  let flying: Batch | undefined;
  let lastRevision = revision();
  let scheduled = false;
  let holds = 0;
  /** Waiting for the batch in flight, and for the queue to be empty as well. */
  const landed: (() => void)[] = [];
  const drained: (() => void)[] = [];
  let trouble: Trouble | undefined;
  let probing: NodeJS.Timeout | undefined;
  let closed = false;

  function pending(name: string): Pending | undefined {
    if (flying === undefined && queue.length === 0) return undefined;
    for (let i = queue.length - 1; i >= -1; i--) {
      const batch = i < 0 ? flying : queue[i];
      const state = batch?.states.get(name);
      if (batch !== undefined && state !== undefined) return { entry: state.entry, batch };
    }
    return undefined;
  }

  function openBatch(): Batch {
    const last = queue.at(-1);
    if (last !== undefined && last.bytes < options.batchBytes) return last;
    const batch = { changes: [], records: [], sizes: [], bytes: 0, states: new Map(), waiters: [] };
    queue.push(batch);
    return batch;
  }

  function add(type: Change['type'], name: string, state?: NewState): Promise<MutationResult> {
    const next = lastRevision + 1;
    const entry = state?.(next);
    const change: Change = entry ? { type, name, revision: next, entry } : { type, name, revision: next };
    const record = encodeRecord(change);
    const size = Buffer.byteLength(record);
    lastRevision = next;
    const batch = openBatch();
    batch.changes.push(change);
    batch.records.push(record);
    batch.sizes.push(size);
    batch.bytes += size;
    batch.states.set(name, change);
    schedule();
    return new Promise((resolve, reject) => {
      const result = entry ? { entry, revision: next } : { revision: next };
      batch.waiters.push({ resolve, reject, result, entry, refusal: undefined });
    });
  }

  // A turn of the event loop lets the requests that are ready now share one sync.
  function schedule(): void {
    if (scheduled || flying !== undefined || holds > 0 || queue.length === 0) return;
    scheduled = true;
    setImmediate(flush);
  }

  function flush(): void {
    scheduled = false;
    if (flying !== undefined || holds > 0) return;
    flying = queue.shift();
    if (flying === undefined) return;
    journal().append(flying.records, flying.bytes, (failure) => {
      if (failure) failed(failure);
      else committed();
    });
  }

  function committed(): void {
    const batch = flying;
    flying = undefined;
    if (batch === undefined) return;
    if (trouble?.final === false) {
      trouble = undefined;
      log('info', 'There is room on the disk again: the registry takes writes');
    }
    batch.changes.forEach((change, i) => apply(change, batch.sizes[i] ?? 0));
    for (const waiter of batch.waiters) settle(waiter);
    goOn();
    options.onCommit();
  }

  function settle({ resolve, reject, result, entry, refusal }: Waiter): void {
    if (refusal !== undefined) reject(refusal);
    else if (result !== undefined) resolve(result);
    else resolve(entry ? { entry, revision: revision() } : { revision: revision() });
  }

  function goOn(): void {
    if (flying !== undefined) return;
    for (const resolve of landed.splice(0)) resolve();
    if (queue.length === 0) for (const resolve of drained.splice(0)) resolve();
    schedule();
  }

  function failed({ step, error }: AppendFailure): void {
    if (step === 'write' && isFull(error)) {
      journal().rollback((problem) => {
        if (problem) stopFlying(`cutting off an incomplete write failed: ${messageOf(problem)}`);
        else full(error);
      });
      return;
    }
    // What a failed sync left in the cache is marked clean, so syncing again would report success and lie.
    stopFlying(`${step === 'sync' ? 'syncing' : 'writing'} ${journal().path} failed: ${messageOf(error)}`);
  }

  function stopFlying(reason: string): void {
    rejectFlying(stop(reason));
  }

  function full(error: Error): void {
    const reason = `no room on the disk for the registry's journal: ${messageOf(error)}`;
    if (trouble === undefined) {
      trouble = { final: false, reason };
      log('error', `The registry refuses writes: ${reason}`);
    }
    rejectFlying(new BrokerError('storage_full', `Cannot store the entry: ${reason}`, { cause: error }));
    if (!closed) probing ??= setTimeout(probe, options.probeMs).unref();
  }

  /** An empty batch shows whether there is room again, so that health tells the truth without a client's write. */
  function probe(): void {
    probing = undefined;
    if (trouble?.final !== false || flying !== undefined || queue.length > 0) return;
    openBatch();
    schedule();
  }

  function stop(reason: string): BrokerError {
    if (trouble?.final !== true) {
      const since = new Date().toISOString();
      trouble = {
        final: true,
        reason: `the registry is read-only since ${since}: ${reason}; restart the broker once the disk is well`,
      };
      log('error', `From now on ${trouble.reason}`);
    }
    const error = new BrokerError('unavailable', `Cannot store the entry: ${trouble.reason}`);
    rejectQueued(error);
    return error;
  }

  /** What stands in later batches was decided on the state that has failed, so it fails with it. */
  function rejectFlying(error: BrokerError): void {
    const batch = flying;
    flying = undefined;
    for (const waiter of batch?.waiters ?? []) waiter.reject(error);
    rejectQueued(error);
    lastRevision = revision();
    goOn();
  }

  function rejectQueued(error: BrokerError): void {
    const batches = queue;
    queue = [];
    for (const batch of batches) for (const waiter of batch.waiters) waiter.reject(error);
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
        batch.waiters.push({ resolve, reject, result: undefined, entry, refusal });
      });
    },
    get trouble(): Trouble | undefined {
      return trouble;
    },
    stop(reason) {
      stop(reason);
    },
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
