import { messageOf } from '../../../protocol/errors.ts';
import type { Gateway } from './gateway.ts';
import { decode, encode, type Keys } from '../keys.ts';
import type { Leases } from '../writes/leases.ts';
import type { RangeResponse } from './messages.ts';
import { resolveWithin } from '../../../protocol/timeout.ts';
import type { Deadline } from '../promises.ts';

/**
 * The brokers that serve the registry now. Each broker has its own key, which ends with its lease soon after
 * the broker has died.
 */
export interface Members {
  /** Writes `about` under `id`, and keeps it there until {@link Members.leave}. To be called once. */
  join(id: string, about: string): void;
  /** The texts of the living ones, at most 1,000, in the order of their ids. */
  list(deadline: Deadline): Promise<string[]>;
  /** Removes the own key. It throws where etcd cannot be reached: the key ends by itself then. */
  leave(deadline: Deadline): Promise<void>;
}

/**
 * How long a dead broker is listed, in milliseconds. A broker without access to etcd is missing after that.
 */
const LIFETIME_MS = 15_000;
const RENEW_MS = 5000;
const MAX_MEMBERS = 1000;

export function createMembers(options: {
  readonly gateway: Gateway;
  readonly keys: Keys;
  readonly leases: Leases;
  readonly timeoutMs: number;
  readonly log: (level: 'warn', message: string) => void;
}): Members {
  const { gateway, keys, leases, timeoutMs, log } = options;
  let lease: string | undefined;
  let isLeft = false;
  let wake: (() => void) | undefined;
  let keeping: Promise<void> | undefined;

  async function keep(id: string, about: string): Promise<void> {
    let isWritten = false;
    let isTold = false;
    for (;;) {
      if (isLeft) return;
      try {
        if (lease === undefined || !(await leases.renew(lease))) {
          isWritten = false;
          lease = await leases.grant(LIFETIME_MS, performance.now() + timeoutMs);
        }
        if (!isWritten) {
          const put = { key: keys.member(id), value: encode(about), lease };
          await gateway.ask('/v3/kv/put', put, performance.now() + timeoutMs);
          isWritten = true;
        }
        isTold = false;
      } catch (error) {
        // The registry's own health reports that etcd is out of reach; this reports the further effect, once.
        if (!isTold && !isLeft)
          log(
            'warn',
            `cannot list this broker in etcd among those that serve the registry: ${messageOf(error)}`,
          );
        isTold = true;
      }
      await nap();
    }
  }

  async function nap(): Promise<void> {
    if (isLeft) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, RENEW_MS);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  return {
    join(id, about) {
      keeping ??= keep(id, about);
    },
    async list(deadline) {
      const range = { ...keys.members, limit: MAX_MEMBERS };
      const { kvs = [] } = await gateway.ask<RangeResponse>('/v3/kv/range', range, deadline);
      return kvs.map(({ value }) => decode(value ?? ''));
    },
    async leave(deadline) {
      isLeft = true;
      wake?.();
      if (keeping) await resolveWithin(Math.max(0, deadline - performance.now()), keeping);
      if (lease !== undefined) await gateway.ask('/v3/lease/revoke', { ID: lease }, deadline);
    },
  };
}
