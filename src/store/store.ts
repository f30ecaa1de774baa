import type { Change, Entry } from '../protocol/registry/entry.ts';

/**
 * What a mutation decides for the entry it was shown.
 *
 * - `put`: this becomes the entry (the store gives it its revision).
 * - `delete`: the entry is gone; on an entry that does not exist, nothing changes. `expired` marks the end of a
 *   lifetime, so that a watch can tell it from a deletion.
 * - `renew`: the entry stays as it is, its lifetime starts anew; neither revision nor stamps change.
 * - `keep`: nothing changes.
 */
export type Outcome =
  | { readonly action: 'put'; readonly entry: NewEntry }
  | { readonly action: 'delete'; readonly expired?: boolean }
  | { readonly action: 'renew' }
  | { readonly action: 'keep' };

/** An entry before the store has given it its revision. */
export type NewEntry = Omit<Entry, 'revision'>;

/**
 * Decides the next state of one entry from its present state (nothing, when it does not exist).
 * MUST be pure: a driver may run it again on a newer state before one result counts. Refuses by throwing a BrokerError.
 */
export type Mutation = (current: Entry | undefined) => Outcome;

/**
 * A condition on another entry, checked in the same moment as the mutation that it goes with: between the two nothing
 * changes either entry. It may be about the very entry that is mutated.
 */
export interface Guard {
  /** The entry that the condition is about. */
  readonly name: string;
  /** MUST be pure, as a mutation is. Refuses by throwing a BrokerError: the mutation is not run then. */
  check(current: Entry | undefined): void;
}

export interface MutationResult {
  /** The entry after the mutation; absent when it does not exist. */
  readonly entry?: Entry;
  /** The registry's revision of which this result is the state. */
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

export interface Page {
  /** In the byte order of their names. */
  readonly entries: readonly Entry[];
  /** Give it as `after` for the next page; absent on the last one. */
  readonly next?: string;
  /** The registry's revision of which this page is the state. */
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
  /** Told when the watch has been given up because too much waits to be read: its reader may have stopped reading. */
  readonly onBehind?: () => void;
}

export interface StoreHealth {
  readonly writable: boolean;
  /** Why writes are refused, for people. */
  readonly reason?: string;
  /** What the entries take of the limit that the driver holds them to; absent where it has none. */
  readonly usage?: { readonly bytes: number; readonly maxBytes: number };
}

/** The end of a wait for a number of entries. */
export interface CountWait {
  /** How many there are: at least as many as were waited for. */
  readonly count: number;
  /** The registry's revision of which this is the state. */
  readonly revision: number;
}

/**
 * The registry. Drivers: `file/` (embedded); `etcd/` (a cluster); `memory/` (not durable); the suite in `contract/` states these rules and runs against
 * every driver.
 *
 * A driver MUST
 * - run `mutate` atomically per name, and let exactly one of any number of simultaneous mutations see a given state;
 * - check a mutation's guard and run the mutation as one step, so that no write of the guard's entry comes between them;
 * - settle a mutation (its result and its refusal alike) only once everything it saw or wrote is durable;
 * - give every write a revision greater than all before it, also across restarts;
 * - show readers durable state only, and a client's own settled writes always;
 * - report every change once, in the order of revisions, to each watch that covers it;
 * - throw `unavailable` from `mutate` when it cannot make writes durable, and keep serving reads, unless others may have written
 *   what it cannot see.
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
   * Settles once `revision` is not behind what was settled when this was called. Only a registry that others write too has it;
   * of any other, `revision` is always the last one.
   */
  fresh?(): Promise<void>;

  /** The entry, or nothing. */
  get(name: string): Promise<Entry | undefined>;

  /**
   * As {@link Store.get}, at once: only of a driver that has its entries at hand. Whoever reads by it answers without a turn of the
   * event loop.
   */
  peek?(name: string): Entry | undefined;

  /** Milliseconds until the lifetime of an entry ends unless it is renewed; nothing for one that has none, or that is gone. */
  lifetimeLeft(name: string): Promise<number | undefined>;

  /** A page of entries in the byte order of their names. */
  list(options?: ListOptions): Promise<Page>;

  /** How many entries exist whose names start with `prefix`. Counting holds nobody up. */
  count(prefix: string): Promise<number>;

  /**
   * Waits until entry `name` exists, and gives it: at once where it does. A wait costs nothing until a change meets its own
   * condition, and many that end at once are answered piece by piece (contract, section 9).
   * @throws what `signal` is aborted with; BrokerError `unavailable` when the store is closed.
   */
  waitForEntry(name: string, signal: AbortSignal): Promise<Entry>;

  /** As {@link Store.waitForEntry}, until at least `count` entries exist whose names start with `prefix`. */
  waitForCount(prefix: string, count: number, signal: AbortSignal): Promise<CountWait>;

  /**
   * The only write: runs `mutation` on the entry's present state and stores what it decides.
   * @param guard a condition on another entry; default: none.
   * @throws BrokerError what `mutation` or `guard` threw; `unavailable` when the write cannot be made durable, `storage_full`
   *   while there is no room for it. In both cases the entry is as it was.
   */
  mutate(name: string, mutation: Mutation, guard?: Guard): Promise<MutationResult>;

  /**
   * Changes as they become durable, from the moment of this call (not of the first `next()`). With `after`, first those
   * since that revision. When the store no longer holds them all (it keeps a bounded history), or when `after` lies in
   * the future of this registry, the first item is `{ type: 'reset', revision }`: the reader reads the entries anew, and
   * every change after that revision follows.
   * @throws BrokerError `unavailable` when the reader has fallen more than 1 MiB behind.
   */
  watch(options?: WatchOptions): AsyncIterableIterator<WatchItem>;

  /** Whether writes can be made durable now. */
  health(): StoreHealth;

  /** Makes everything durable and releases what the store holds. Mutations and watches still open end. */
  close(): Promise<void>;
}

/** Told instead of changes that the store no longer holds. */
export interface Reset {
  readonly type: 'reset';
  /** The registry's revision now; the changes after it follow. */
  readonly revision: number;
}

export type WatchItem = Change | Reset;
