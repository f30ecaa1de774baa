import { BrokerError } from '../../../protocol/errors.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { encode, type Keys } from '../keys.ts';
import { type RangeResponse, revisionOf } from '../gateway/messages.ts';
import type { Mirror } from './mirror.ts';
import { singleFlight } from './single-flight.ts';
import { resolveWithin } from '../../../protocol/timeout.ts';

/** Makes reads linearizable: the mirror serves them once it holds everything that was written before them. */
export interface Freshness {
  /**
   * Resolves once the mirror holds every write of any broker that was settled before this call. Any number of
   * calls at once cost at most two rounds to etcd.
   * @throws BrokerError `unavailable` when etcd, or a majority of it, does not answer in time, or its changes
   * do not arrive.
   */
  fresh(): Promise<void>;
  /**
   * The present revision of etcd's majority.
   * @throws BrokerError `unavailable` where none answers.
   */
  now(): Promise<number>;
}

/** How long a change may take to arrive before a write checks whether one is missing, in milliseconds. */
const ARRIVAL_MS = 50;
/** The same after a check that found none missing: others write to the same cluster. */
const FOREIGN_ARRIVAL_MS = 2;
/**
 * The longest wait for a read alone, in milliseconds. After a change of leader, etcd 3.4 may leave a member's
 * reads unanswered for 7 seconds. Writes still work, and the answer to one has the same information.
 */
const READ_MS = 1000;
/**
 * The longest wait for the changes before the watch is started again, in milliseconds. The next wait of the same
 * call is twice as long: a member on a busy machine may take that long to open a watch.
 */
const STALLED_MS = 1000;

export function createFreshness(setup: {
  readonly gateway: Gateway;
  readonly keys: Keys;
  readonly mirror: Mirror;
  readonly timeoutMs: number;
  /** Called when the watch seems to be dead. */
  readonly onStalled: () => void;
}): Freshness {
  const { gateway, keys, mirror, timeoutMs } = setup;
  const { progress } = mirror;
  let arrivalMs = ARRIVAL_MS;

  /**
   * Writes a key that the watch covers, so that the watch has something to report. Where others write to the
   * same cluster, its revision does not show whether changes are still to arrive.
   */
  const sync = singleFlight(async () => {
    const put = { key: keys.sync, value: encode('') };
    const deadline = performance.now() + timeoutMs;
    return revisionOf((await gateway.ask<RangeResponse>('/v3/kv/put', put, deadline)).header);
  });

  /**
   * Returns undefined where etcd is full: only deletions change anything then, and earlier changes arrive by
   * themselves.
   */
  async function syncWhereRoom(): Promise<number | undefined> {
    try {
      return await sync();
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'storage_full') return undefined;
      throw error;
    }
  }

  async function read(): Promise<number> {
    const range = { key: keys.registry, keys_only: true };
    const deadline = performance.now() + timeoutMs;
    return revisionOf((await gateway.ask<RangeResponse>('/v3/kv/range', range, deadline)).header);
  }

  async function now(): Promise<number> {
    const reading = read();
    const early = await resolveWithin(READ_MS, reading).catch(() => undefined);
    if (early !== undefined) return early;
    try {
      return await Promise.any([reading, sync()]);
    } catch (error) {
      throw (error as AggregateError).errors[0];
    }
  }

  async function catchUp(): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    const revision = await now();
    if (await progress.reach(revision, arrivalMs)) {
      arrivalMs = ARRIVAL_MS;
      return;
    }
    const synced = (await syncWhereRoom()) ?? revision;
    arrivalMs = FOREIGN_ARRIVAL_MS;
    // Earlier writes are reported earlier.
    for (let patienceMs = STALLED_MS; performance.now() < deadline; patienceMs *= 2) {
      const leftMs = deadline - performance.now();
      if (await progress.reach(synced, Math.min(patienceMs, leftMs))) return;
      // One that was started again in this call may be about to open.
      if (patienceMs === STALLED_MS || patienceMs < leftMs) setup.onStalled();
    }
    throw new BrokerError('unavailable', 'The changes of the registry do not arrive from etcd');
  }

  return { fresh: singleFlight(catchUp), now };
}
