import { randomBytes } from 'node:crypto';
import type { Gateway } from '../gateway/gateway.ts';
import { encode, type Keys } from '../keys.ts';
import { type LeaseGrantResponse, type RangeResponse, revisionOf } from '../gateway/messages.ts';
import { singleFlight } from '../mirror/single-flight.ts';
import type { Deadline } from '../promises.ts';

/**
 * A request whose answer was lost may be carried out at any later time. So every write of this broker
 * succeeds only if the broker's own key has not changed. Once that key was changed, no earlier write can
 * succeed any more. Whether one has succeeded is then in the changes up to that point.
 */
export interface Fence {
  readonly key: string;
  /** The revision that a write sent now must find. */
  readonly revision: number;
  /** Notes that the key was at another revision. */
  found(revision: number): void;
  /** Raises it. Returns the revision after which no request from before this call can succeed. */
  raise(deadline: Deadline): Promise<number>;
  /** Has etcd remove its key in an hour: a write that is still on its way finds it until then. */
  abandon(deadline: Deadline): Promise<void>;
}

/** The longest time in seconds that a lost request waits for its member to continue, as a stopped one may. */
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
