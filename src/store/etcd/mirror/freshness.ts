import { BrokerError } from '../../../protocol/errors.ts';
import type { Gateway } from '../gateway/gateway.ts';
import { encode, type Keys } from '../keys.ts';
import { type RangeResponse, revisionOf } from '../gateway/messages.ts';
import type { Mirror } from './mirror.ts';
import { singleFlight } from './single-flight.ts';
import { resolveWithin } from '../../../protocol/timeout.ts';

/** Reads are linearizable: they are served from the mirror once it holds everything that was written when they were asked. */
export interface Freshness {
  /**
   * Settles once the mirror holds every write that was settled, by whichever broker, when this was called. Any number of calls
   * at once cost at most two rounds to etcd.
   * @throws BrokerError `unavailable` when etcd, or a majority of it, does not answer in time, or its changes do not arrive.
   */
  fresh(): Promise<void>;
  /** The revision that etcd's majority has now. Throws `unavailable` where none answers. */
  now(): Promise<number>;
}

/** How long a change may take to arrive before it is asked whether there is one. */
const ARRIVAL_MS = 50;
/** The same, where the last time there was none: others write to the same cluster. */
const FOREIGN_ARRIVAL_MS = 2;
/**
 * Longest that is waited for a read alone. When the leader changes, etcd 3.4 may leave the reads of a member unanswered for 7 seconds;
 * writes go on, and one says as much.
 */
const READ_MS = 1000;
/** Longest that the changes are waited for before the watch is begun anew. */
const STALLED_MS = 1000;

export function createFreshness(setup: {
  readonly gateway: Gateway;
  readonly keys: Keys;
  readonly mirror: Mirror;
  readonly timeoutMs: number;
  /** The watch seems to be dead. */
  readonly onStalled: () => void;
}): Freshness {
  const { gateway, keys, mirror, timeoutMs } = setup;
  const { progress } = mirror;
  let arrivalMs = ARRIVAL_MS;

  /**
   * Writes a key that the watch covers, so that it has something to report: where others write to the same cluster, its
   * revision says nothing about what is still to arrive.
   */
  const sync = singleFlight(async () => {
    const put = { key: keys.sync, value: encode('') };
    const deadline = performance.now() + timeoutMs;
    return revisionOf((await gateway.ask<RangeResponse>('/v3/kv/put', put, deadline)).header);
  });

  /** Nothing where etcd is full: then deletions alone change anything, and what there was before arrives by itself. */
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
    // What was written before is reported before.
    for (;;) {
      if (await progress.reach(synced, Math.min(STALLED_MS, deadline - performance.now()))) return;
      setup.onStalled();
      if (performance.now() < deadline) continue;
      throw new BrokerError('unavailable', 'The changes of the registry do not arrive from etcd');
    }
  }

  return { fresh: singleFlight(catchUp), now };
}
