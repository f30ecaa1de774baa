import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import type { Cluster } from '../gateway/cluster.ts';
import type { Identity } from '../identity.ts';
import { claimForFilling, type Mover, compareAndSwap } from './registry-key.ts';
import { type Content, fill, verify } from './fill.ts';
import { startLeaseKeepAlive } from './lease-keep-alive.ts';

/** The progress of a migration. */
export interface MoveProgress {
  readonly step: 'copied' | 'verified';
  readonly done: number;
  readonly total: number;
}

export interface MoveInOptions {
  readonly cluster: Cluster;
  readonly content: Content;
  readonly by: Mover;
  /** Runs before etcd learns of the migration. */
  readonly beforeMark?: () => Promise<void>;
  readonly onProgress: (progress: MoveProgress) => void;
  readonly signal: AbortSignal;
  /** Makes the configuration name etcd. It is called once everything is in etcd and has been compared. */
  readonly onFilled: () => Promise<void>;
}

/**
 * Moves a registry into etcd, below a prefix without one. Nobody can use it there until the very end. After
 * an interruption before `onFilled`, it starts again; after a later one, {@link openFilled} completes it.
 *
 * Entries keep their revisions, and every later write gets one above all of them. Lifetimes start again.
 * @throws BrokerError `already_exists` where the prefix holds data that could be lost; `storage_full`,
 * `unavailable`. The message of a failure after `onFilled` says so.
 */
export async function moveIn(options: MoveInOptions): Promise<void> {
  const { cluster, content, by, onProgress, signal } = options;
  const { id, index } = content;
  const { revision, size: total } = index;
  const claimed = await claimForFilling(cluster, { id, revision }, by, options.beforeMark);
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
      throw unfinished('The configuration names etcd now, where the registry is not open yet', error);
    }
  } finally {
    await keepAlive.close(!isFilled);
  }
}

/** The error for a failure that cannot be undone: it says what is done, and what helps. */
export function unfinished(done: string, error: unknown): BrokerError {
  const { code } = error instanceof BrokerError ? error : { code: 'unavailable' as const };
  return new BrokerError(code, `${done} (${messageOf(error)}): run this again`, { cause: error });
}

/** Opens a registry that has been filled. From now on it accepts writes, with revisions above `revision`. */
export async function openFilled(cluster: Cluster, { id, mod }: Identity, revision: number): Promise<void> {
  await compareAndSwap(cluster, mod, { id, revision });
}
