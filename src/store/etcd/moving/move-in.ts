import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import type { Cluster } from '../gateway/cluster.ts';
import type { Identity } from '../identity.ts';
import { claimForFilling, type Mover, compareAndSwap } from './registry-key.ts';
import { type Content, fill, verify } from './fill.ts';
import { startLeaseKeepAlive } from './lease-keep-alive.ts';

/** How far a migration is. */
export interface MoveProgress {
  readonly step: 'copied' | 'verified';
  readonly done: number;
  readonly total: number;
}

export interface MoveInOptions {
  readonly cluster: Cluster;
  readonly content: Content;
  readonly by: Mover;
  readonly onProgress: (progress: MoveProgress) => void;
  readonly signal: AbortSignal;
  /** Makes etcd the place that brokers are led to. It is called once everything is in etcd and has been compared. */
  readonly onFilled: () => Promise<void>;
}

/**
 * Moves a registry into etcd, below a prefix that holds none. Until the very end nobody can use it there. Interrupted anywhere before
 * `onFilled`, it begins anew; after that, {@link openFilled} ends it.
 *
 * Entries keep their revisions, and every later write gets one above all of them. Lifetimes begin anew.
 * @throws BrokerError `already_exists` where the prefix holds anything that could be lost; `storage_full`, `unavailable`. A failure after
 *   `onFilled` says that it came then.
 */
export async function moveIn(options: MoveInOptions): Promise<void> {
  const { cluster, content, by, onProgress, signal } = options;
  const { id, index } = content;
  const { revision, size: total } = index;
  const claimed = await claimForFilling(cluster, { id, revision }, by);
  const keepAlive = startLeaseKeepAlive(cluster);
  let isFilled = false;
  try {
    const told = (step: MoveProgress['step']) => (done: number) => onProgress({ step, done, total });
    const filling = { cluster, content, leases: keepAlive.leases, onLease: keepAlive.add, signal };
    const at = await fill({ ...filling, onProgress: told('copied') }, claimed);
    await verify({ ...filling, onProgress: told('verified') });
    signal.throwIfAborted();
    const closed = { state: 'filled', ...by, since: new Date().toISOString() } as const;
    const filled = await compareAndSwap(cluster, at.mod, { id, revision, closed });
    isFilled = true;
    await options.onFilled();
    try {
      await keepAlive.renew();
      await openFilled(cluster, filled, revision);
    } catch (error) {
      throw unfinished('The configuration leads to etcd now, where the registry is not open yet', error);
    }
  } finally {
    await keepAlive.close(!isFilled);
  }
}

/** A failure after which there is no way back: it tells what is done, and what helps. */
export function unfinished(done: string, error: unknown): BrokerError {
  const { code } = error instanceof BrokerError ? error : { code: 'unavailable' as const };
  return new BrokerError(code, `${done} (${messageOf(error)}): run this again`, { cause: error });
}

/** Opens a registry that has been filled. From now on it takes writes, with revisions above `revision`. */
export async function openFilled(cluster: Cluster, { id, mod }: Identity, revision: number): Promise<void> {
  await compareAndSwap(cluster, mod, { id, revision });
}
