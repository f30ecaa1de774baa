import type { Entry } from '../../../protocol/registry/entry.ts';
import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import type { Cluster } from '../gateway/cluster.ts';
import { decodeEntry } from '../entry-value.ts';
import { migrationProblem, type Identity } from '../identity.ts';
import { decode } from '../keys.ts';
import { readKey, readPages } from '../gateway/pages.ts';
import { type Mover, findRegistry, compareAndSwap, isOf } from './registry-key.ts';

/** A registry in etcd that is closed to all brokers while it is moved out. */
export interface MovingOut {
  readonly id: string;
  /** The revision at which it was closed: no write follows. */
  readonly revision: number;
  /** All entries at that revision, page by page. */
  pages(): AsyncGenerator<readonly Entry[], void, undefined>;
  /** The text that its brokers share under a name; undefined where there is none. */
  common(name: string): Promise<string | undefined>;
  /** Marks it as moved: only a migration opens it again. */
  finish(): Promise<void>;
  /** Opens it again, as if it had never been closed. */
  reopen(): Promise<void>;
}

/**
 * Closes the registry in etcd, for every broker at once. Each of their writes succeeds only while it is open.
 * So it has all acknowledged writes, and none is added any more.
 * @throws BrokerError `not_found` where there is none; `unavailable` where another migration is moving it or
 * has moved it.
 * @param beforeMark runs before etcd learns of the migration.
 */
export async function moveOut(
  cluster: Cluster,
  by: Mover,
  beforeMark?: () => Promise<void>,
): Promise<MovingOut> {
  const found = await findRegistry(cluster);
  if (found === undefined) {
    throw new BrokerError('not_found', 'There is no registry below the prefix in etcd');
  }
  if (found.closed && !isBeingMovedBy(found, by)) {
    throw new BrokerError('unavailable', `Cannot move it: ${migrationProblem(found.closed)}`);
  }
  const { gateway, keys } = cluster;
  const { id, offset } = found;
  await beforeMark?.();
  const since = new Date().toISOString();
  const moving = await compareAndSwap(cluster, found.mod, {
    id,
    revision: found.mod + offset,
    at: found.mod,
    closed: { state: 'moving', ...by, since },
  });
  const { mod } = moving;
  return {
    id,
    revision: mod + offset,
    async *pages() {
      for await (const kvs of readPages(gateway, keys.entries, mod)) {
        yield kvs.map((kv) => decodeEntry(keys.nameOf(kv.key) ?? '', kv, offset).entry);
      }
    },
    async common(name) {
      const { kv } = await readKey(gateway, keys.common(name));
      return kv && decode(kv.value ?? '');
    },
    finish: () => markMoved(cluster, moving, by),
    reopen: () => reopen(cluster, moving),
  };
}

/** Whether this very migration was interrupted. */
export function isBeingMovedBy({ closed }: Identity, by: Mover): boolean {
  return closed?.state === 'moving' && isOf(closed, by);
}

/** Notes that the registry is in its file now. */
export async function markMoved(cluster: Cluster, { id, mod, offset }: Identity, by: Mover): Promise<void> {
  const closed = { state: 'moved', ...by, since: new Date().toISOString() } as const;
  await compareAndSwap(cluster, mod, { id, revision: mod + offset, at: mod, closed });
}

/** Opens a registry again after an incomplete migration out of etcd. */
export async function reopen(cluster: Cluster, { id, mod, offset }: Identity): Promise<void> {
  await compareAndSwap(cluster, mod, { id, revision: mod + offset, at: mod });
}

/** As {@link MovingOut.reopen}, after a failure; the resulting error reports that failure. */
export async function reopenAfter(moving: MovingOut, error: unknown): Promise<never> {
  try {
    await moving.reopen();
  } catch (later) {
    const { code } = error instanceof BrokerError ? error : { code: 'unavailable' as const };
    throw new BrokerError(
      code,
      `${messageOf(error)}; the registry in etcd stays closed (${messageOf(later)}): run this again, or open it again with '--from file --to etcd'`,
      { cause: error },
    );
  }
  throw error;
}
