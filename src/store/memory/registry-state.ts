import type { Change, Entry } from '../../protocol/registry/entry.ts';
import type { BrokerError } from '../../protocol/errors.ts';
import type { Mutation, Store, WatchItem } from '../store.ts';
import { createExpiry, type Expiry } from './expiry.ts';
import { createHistory, type History } from './history.ts';
import { createPrefixCounts } from './prefix-counts.ts';
import { createQuota, type Quota } from './quota.ts';
import { createEntryIndex, type EntryIndex } from './entry-index.ts';
import { createWaits } from './waits.ts';
import { covers, createWatchHub } from './watchers.ts';

const MIB = 1024 * 1024;

/** The limits of a driver that keeps its registry in memory; each has a default. */
export interface StateLimits {
  /** The most bytes of all entries (`entry-size.ts`); default: no limit. */
  readonly maxBytes?: number;
  /** The most changes across which a watch can resume; default 10,000. */
  readonly historyChanges?: number;
  /** The most bytes of these changes; default 16 MiB. */
  readonly historyBytes?: number;
  /** The most bytes that a watch may be behind; default 1 MiB. */
  readonly watchBytes?: number;
}

/**
 * The registry in memory: its entries, watches, counts, lifetimes and latest changes. The drivers `memory`
 * and `file` share it; a driver decides when a change takes effect.
 */
export interface RegistryState extends Pick<
  Store,
  'revision' | 'get' | 'lifetimeLeft' | 'list' | 'count' | 'waitForEntry' | 'waitForCount' | 'watch'
> {
  peek(name: string): Entry | undefined;
  readonly index: EntryIndex;
  readonly history: History;
  readonly quota: Quota;
  readonly expiry: Expiry;
  /**
   * Takes over a change, in the order of revisions.
   * @param bytes its size in the history and for slow watches.
   * @param size the size of the entry after it (`entry-size.ts`), 0 where it is gone.
   */
  apply(change: Change, bytes: number, size: number): void;
  /** Starts the lifetimes of the entries that the index was loaded with. */
  beginLifetimes(): void;
  /** The mutation that deletes an entry whose lifetime has ended. */
  readonly expire: Mutation;
  /** Ends every watch and refuses every wait, also later ones. */
  end(reason: BrokerError): void;
}

/**
 * @param expire runs {@link RegistryState.expire} on an entry; it may reject while the store cannot write.
 */
export function createRegistryState(
  limits: StateLimits,
  expire: (name: string) => Promise<unknown>,
): RegistryState {
  const index = createEntryIndex();
  const quota = createQuota(index, limits.maxBytes ?? Infinity);
  const counts = createPrefixCounts(index);
  const waits = createWaits(index, counts);
  const history = createHistory({
    changes: limits.historyChanges ?? 10_000,
    bytes: limits.historyBytes ?? 16 * MIB,
  });
  const watches = createWatchHub(limits.watchBytes ?? MIB);
  const expiry = createExpiry(expire);

  function backlogOf(options: { name?: string; prefix?: string; after?: number }): WatchItem[] {
    const { after } = options;
    if (after === undefined) return [];
    if (after > index.revision || after < history.floor) {
      return [{ type: 'reset', revision: index.revision }];
    }
    return history.since(after).filter((change) => covers(options, change.name));
  }

  return {
    index,
    history,
    quota,
    expiry,
    get revision(): number {
      return index.revision;
    },
    get: (name) => Promise.resolve(index.get(name)),
    peek: (name) => index.get(name),
    lifetimeLeft: (name) => Promise.resolve(expiry.left(name)),
    list: (options = {}) => Promise.resolve(index.page(options)),
    async count(prefix) {
      if (prefix === '') return index.size;
      const count = counts.hold(prefix);
      try {
        await count.ready;
        return count.value;
      } finally {
        count.letGo();
      }
    },
    waitForEntry: waits.forEntry,
    waitForCount: waits.forCount,
    watch: (options = {}) => watches.open(options, backlogOf(options)),
    apply(change, bytes, size) {
      const { size: number, bytes: before } = index;
      index.apply(change, size);
      quota.applied(index.bytes - before);
      if (index.size !== number) counts.changed(change.name, index.size - number);
      if (index.size > number) waits.made(change.name);
      history.push(change, bytes);
      watches.publish(change, bytes);
      if (change.entry === undefined) expiry.forget(change.name);
      else expiry.track(change.entry);
    },
    beginLifetimes() {
      for (const entry of index.entries()) if (entry.ttlMs !== undefined) expiry.track(entry);
    },
    expire: (current) =>
      current !== undefined && expiry.isOver(current)
        ? { action: 'delete', expired: true }
        : { action: 'keep' },
    end(reason) {
      watches.close();
      waits.end(reason);
    },
  };
}
