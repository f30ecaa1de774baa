import type { Change, Entry } from '../protocol/registry/entry.ts';

/**
 * The decision of a mutation for the entry that it got.
 *
 * - `put`: this becomes the entry (the store adds its revision).
 * - `delete`: the entry is removed; if it does not exist, nothing changes. `expired` marks the end of a
 * lifetime, so that a watch can tell it from a deletion.
 * - `renew`: the entry stays unchanged, and its lifetime starts again; neither revision nor stamps change.
 * - `keep`: nothing changes.
 */
export type Outcome =
  | { readonly action: 'put'; readonly entry: NewEntry }
  | { readonly action: 'delete'; readonly expired?: boolean }
  | { readonly action: 'renew' }
  | { readonly action: 'keep' };

/** An entry before the store has added its revision. */
export type NewEntry = Omit<Entry, 'revision'>;

/**
 * Decides the next state of one entry from its present state (undefined, when it does not exist). It MUST be
 * pure: a driver may run it again on a newer state before one result counts. It refuses by throwing a
 * BrokerError.
 */
export type Mutation = (current: Entry | undefined) => Outcome;

/**
 * A condition on another entry. It is checked in the same moment as its mutation: nothing changes either
 * entry between the two. It may be about the very entry that is mutated.
 */
export interface Guard {
  /** The entry that the condition is about. */
  readonly name: string;
  /**
   * It MUST be pure, as a mutation is. It refuses by throwing a BrokerError: the mutation does not run then.
   */
  check(current: Entry | undefined): void;
}

/** The result of {@link Store.mutate}. */
export interface MutationResult {
  /** The entry after the mutation; absent when it does not exist. */
  readonly entry?: Entry;
  /** The registry's revision of this result. */
  readonly revision: number;
}

export interface ListOptions {
  /** Only names that start with this; default: all. */
  readonly prefix?: string;
  /** Only names after this one in byte order: the `next` of the page before. */
  readonly after?: string;
  /** At most this many entries; default 1000. */
  readonly limit?: number;
}

/** One page of {@link Store.list}. */
export interface Page {
  /** In the byte order of their names. */
  readonly entries: readonly Entry[];
  /** The value of `after` for the next page; absent on the last one. */
  readonly next?: string;
  /** The registry's revision of this page. */
  readonly revision: number;
}

export interface WatchOptions {
  /** Only this entry. */
  readonly name?: string;
  /** Only names that start with this; default: all. */
  readonly prefix?: string;
  /** Begin after this revision, with the changes since; default: with the next change. */
  readonly after?: number;
  /** Ends the watch. */
  readonly signal?: AbortSignal;
  /**
   * Called when the watch has ended because too many changes wait to be read: its reader may have stopped
   * reading.
   */
  readonly onBehind?: () => void;
}

/** Whether a store accepts writes now. */
export interface StoreHealth {
  readonly writable: boolean;
  /** Why writes are refused, for people. */
  readonly reason?: string;
  /** The size of the entries and the driver's limit, in bytes; absent where it has no limit. */
  readonly usage?: { readonly bytes: number; readonly maxBytes: number };
}

/** The end of a wait for a number of entries. */
export interface CountWait {
  /** The number of entries: at least the number that was waited for. */
  readonly count: number;
  /** The registry's revision of this count. */
  readonly revision: number;
}

/**
 * The registry. Drivers: `file/` (embedded); `etcd/` (a cluster); `memory/` (not durable). The suite in
 * `contract/` states these rules and runs against every driver.
 *
 * A driver MUST
 * - run `mutate` atomically per name, and let exactly one of any number of simultaneous mutations see a given
 * state;
 * - check a mutation's guard and run the mutation as one step, so that no write of the guard's entry comes
 * between them;
 * - settle a mutation (its result and its refusal alike) only once everything it saw or wrote is durable;
 * - give every write a revision greater than all before it, also across restarts;
 * - show readers only durable state, and always a client's own settled writes;
 * - report every change once, in the order of revisions, to each watch that covers it;
 * - throw `unavailable` from `mutate` when it cannot make writes durable, and keep serving reads, unless
 * others may have made writes that it cannot see.
 *
 * A driver MUST NOT
 * - acknowledge a write that a crash could lose, or apply one that it refused;
 * - drop changes of a watch silently: see {@link Store.watch};
 * - interpret an entry's data.
 */
export interface Store {
  /** The registry's present durable revision: that of its last write, 0 before the first. */
  readonly revision: number;

  /**
   * Resolves once `revision` includes all writes that were settled before this call. Only a registry with
   * other writers has it; in any other, `revision` is always the last one.
   */
  fresh?(): Promise<void>;

  /** The entry, or undefined. */
  get(name: string): Promise<Entry | undefined>;

  /**
   * As {@link Store.get}, but synchronous, for drivers with their entries in memory. A caller answers by it
   * without a turn of the event loop.
   */
  peek?(name: string): Entry | undefined;

  /**
   * Milliseconds until the lifetime of an entry ends unless it is renewed; undefined without a lifetime, or
   * without the entry.
   */
  lifetimeLeft(name: string): Promise<number | undefined>;

  /** A page of entries in the byte order of their names. */
  list(options?: ListOptions): Promise<Page>;

  /** The number of entries whose names start with `prefix`. A count does not block other calls. */
  count(prefix: string): Promise<number>;

  /**
   * Waits until entry `name` exists, and returns it: at once where it does. A wait costs nothing until a
   * change meets its own condition, and many that end at once are answered piece by piece (contract, section
   * 9).
   * @throws the reason of an aborted `signal`; BrokerError `unavailable` when the store is closed.
   */
  waitForEntry(name: string, signal: AbortSignal): Promise<Entry>;

  /** As {@link Store.waitForEntry}, until at least `count` entries exist whose names start with `prefix`. */
  waitForCount(prefix: string, count: number, signal: AbortSignal): Promise<CountWait>;

  /**
   * The only write: runs `mutation` on the entry's present state and stores its decision.
   * @param guard a condition on another entry; default: none.
   * @throws BrokerError of `mutation` or `guard`; `unavailable` when the write cannot be made durable,
   * `storage_full` while there is no room for it. In both cases the entry is unchanged.
   */
  mutate(name: string, mutation: Mutation, guard?: Guard): Promise<MutationResult>;

  /**
   * Yields changes as they become durable, from the moment of this call (not of the first `next()`). With
   * `after`, the changes since that revision come first. The store keeps a bounded history. If it no longer
   * holds them all, or `after` is in the future of this registry, the first item is `{ type: 'reset',
   * revision }`. The reader must then read the entries again, and every change after that revision follows.
   * @throws BrokerError `unavailable` when the reader has fallen more than 1 MiB behind.
   */
  watch(options?: WatchOptions): AsyncIterableIterator<WatchItem>;

  /** Whether writes can be made durable now. */
  health(): StoreHealth;

  /** Makes everything durable and releases the store's resources. Open mutations and watches end. */
  close(): Promise<void>;
}

/** Replaces changes that the store no longer holds. */
export interface Reset {
  readonly type: 'reset';
  /** The registry's present revision; the changes after it follow. */
  readonly revision: number;
}

/** An item of {@link Store.watch}. */
export type WatchItem = Change | Reset;
