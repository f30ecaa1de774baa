import { randomBytes } from 'node:crypto';
import type { Gateway } from '../gateway/gateway.ts';
import { encode, type Keys } from '../keys.ts';
import { type LeaseGrantResponse, type RangeResponse, revisionOf } from '../gateway/messages.ts';
import { singleFlight } from '../mirror/single-flight.ts';
import type { Deadline } from '../promises.ts';

/**
 * A request whose answer was lost may still be under way, and be done at any time. Every write of this broker is made only if a
 * key of its own has not changed; once that key has been changed, no write that was sent before can be done any more, and
 * whether it has been done is in the changes up to then.
 */
export interface Fence {
  readonly key: string;
  /** The revision that a write sent now must find. */
  readonly revision: number;
  /** It was found to be at another revision. */
  found(revision: number): void;
  /** Raises it: gives the revision after which nothing that was sent before this call is done. */
  raise(deadline: Deadline): Promise<number>;
  /** Has etcd remove its key an hour from now: until then a write that is still under way finds it. */
  abandon(deadline: Deadline): Promise<void>;
}

/** A request that was lost does not wait longer than that for its member to go on, as one that is stopped may. */
const KEPT_SECONDS = 3600;

export function createFence(gateway: Gateway, keys: Keys): Fence {
  const key = keys.fence(randomBytes(8).toString('hex'));
  let revision = 0;
  let until: Deadline = 0;
  const raise = singleFlight(async () => {
    const put = { key, value: encode('') };
    const raised = revisionOf((await gateway.ask<RangeResponse>('/v3/kv/put', put, until)).header);
    revision = Math.max(revision, raised);
    return raised;
  });
  return {
    key,
    get revision(): number {
      return revision;
    },
    found(now) {
      revision = now;
    },
    raise(deadline) {
      until = Math.max(until, deadline);
      return raise();
    },
    async abandon(deadline) {
      // Most brokers never raise it.
      if (revision === 0) return;
      const { ID } = await gateway.ask<LeaseGrantResponse>(
        '/v3/lease/grant',
        { TTL: KEPT_SECONDS },
        deadline,
      );
      await gateway.ask('/v3/kv/put', { key, value: encode(''), lease: ID }, deadline);
    },
  };
}
