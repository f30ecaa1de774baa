import type { Cluster } from '../gateway/cluster.ts';
import { createLeases, type Leases } from '../writes/leases.ts';
import { pause } from '../promises.ts';
import { REQUEST_MS } from './registry-key.ts';

/**
 * Stops the lifetimes of entries from running while they are copied in: none may end before the registry is
 * opened.
 */
export interface LeaseKeepAlive {
  readonly leases: Leases;
  add(lease: string): void;
  /**
   * Starts all of them again.
   * @throws BrokerError where etcd does not do it.
   */
  renew(): Promise<void>;
  /** Stops renewing them; with `drop`, ends them too. */
  close(drop: boolean): Promise<void>;
}

/** The pause between two renewals of all, in milliseconds: etcd grants at least 1 second. */
const EVERY_MS = 300;

export function startLeaseKeepAlive({ gateway }: Cluster): LeaseKeepAlive {
  const leases = createLeases(gateway, REQUEST_MS);
  const granted: string[] = [];
  const ending = new AbortController();

  async function renew(): Promise<void> {
    await Promise.all(granted.map((lease) => leases.renew(lease)));
  }

  async function keep(): Promise<void> {
    while (!ending.signal.aborted) {
      // A failed renewal may succeed in a moment; the comparison finds an entry that is lost meanwhile.
      await renew().catch(() => undefined);
      await pause(EVERY_MS);
    }
  }

  const keeping = keep();
  return {
    leases,
    add: (lease) => void granted.push(lease),
    renew,
    async close(drop) {
      ending.abort();
      await keeping;
      if (drop) for (const lease of granted) leases.drop(lease);
      await leases.settled();
    },
  };
}
