import type { Deadline } from '../promises.ts';
import type { Leases } from './leases.ts';

/**
 * The lease for an entry that is about to be written. A write may be tried several times, each time for another
 * state of the entry, and with another lifetime.
 */
interface SpareLease {
  /** A lease of that lifetime that has just begun: that of the try before it, or a new one. */
  take(ttlMs: number, deadline: Deadline): Promise<string>;
  /** Notes that the lease belongs to an entry, or may, or has ended. */
  letGo(): void;
  /** Ends a lease that no entry has. */
  drop(): void;
}

/** The longest time that a lease may have run before its entry is written, in milliseconds. */
const FRESH_MS = 500;

/** @param now the monotonic clock, in milliseconds. */
export function createSpareLease(
  leases: Pick<Leases, 'grant' | 'drop'>,
  now: () => number = () => performance.now(),
): SpareLease {
  let spare: { readonly lease: string; readonly ttlMs: number; readonly since: number } | undefined;

  function drop(): void {
    if (spare !== undefined) leases.drop(spare.lease);
    spare = undefined;
  }

  return {
    async take(ttlMs, deadline) {
      if (spare?.ttlMs === ttlMs && now() - spare.since <= FRESH_MS) return spare.lease;
      drop();
      const since = now();
      const lease = await leases.grant(ttlMs, deadline);
      spare = { lease, ttlMs, since };
      return lease;
    },
    letGo() {
      spare = undefined;
    },
    drop,
  };
}
