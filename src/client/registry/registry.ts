import type { Json, JsonObject } from '../../protocol/formats/data.ts';
import type { BrokerError } from '../../protocol/errors.ts';
import { checkMethod } from '../../protocol/options.ts';
import {
  type ClientCount,
  type ClientEntry,
  type ClientList,
  entryOf,
  type EntryShape,
  type PageAnswer,
  pageOf,
} from './answers.ts';
import { deletePrefix } from './delete-prefix.ts';
import { leadsOn, MAX_LISTED, noEnd } from './paging.ts';
import { poll, type Retry, type Waiting, type WaitOptions } from './poll.ts';
import type { CallOptions, CallParams, Rpc } from '../connection/rpc.ts';

export type { WaitOptions } from './poll.ts';

/** A lock as a condition: its name, and the revision at which it was taken. */
export interface HeldLock {
  readonly name: string;
  readonly revision: number;
}
/** Options of a write under a lock. */
export interface LockedOptions {
  /** Writes only while this lock is held (its entry has that revision); else `revision_conflict`. */
  readonly ifLocked?: HeldLock | undefined;
}
/** Options of every write. */
export interface WriteOptions extends LockedOptions {
  /** Lifetime of the entry in milliseconds: it expires unless it is renewed; default: none. */
  readonly ttlMs?: number | undefined;
}
/** Options of `register`. */
export interface RegisterOptions extends WriteOptions, WaitOptions {
  /**
   * Whether to accept an existing entry whose data is equal; default false. It gets the lifetime of `ttlMs`;
   * without one, its own starts again.
   */
  readonly ifSame?: boolean;
  /**
   * Whether to wait until the name is free, in the order of asking; default false. The wait survives broken
   * connections and restarts; `timeoutMs` and `signal` end it. Not together with `ifSame` or `ifLocked`. Give
   * `ttlMs`: where the answer to a registration is lost, the wait goes on until that entry has expired.
   */
  readonly wait?: boolean;
}
/** Options of a conditional write (contract, section 3). */
export interface ConditionalOptions {
  /** Writes only if the entry is at this revision; 0: only if it does not exist. */
  readonly ifRevision?: number | undefined;
}
/** Options of `update`. */
export interface UpdateOptions extends WriteOptions, ConditionalOptions {
  /**
   * Members to remove before the data is merged in, at most 1,000. Dots lead inwards (`db.host`); `\\.` is a
   * dot within a name. A missing member is no error.
   */
  readonly unset?: readonly string[] | undefined;
}
/** Options of `waitForCount`. */
export interface CountOptions extends WaitOptions {
  /** Whether to return the entries, and not their number alone; default false. */
  readonly entries?: boolean;
}

/** The registry, over the network. Every method throws BrokerError with the codes of the error table. */
export interface Registry {
  /** Makes an entry. Throws `already_exists` when the name exists; with `wait`, `timeout`. */
  register(name: string, data: string | JsonObject, options?: RegisterOptions): Promise<ClientEntry>;
  /** Stores data, and replaces an entry that exists. Throws `revision_conflict`. */
  replace(
    name: string,
    data: string | JsonObject,
    options?: WriteOptions & ConditionalOptions,
  ): Promise<ClientEntry>;
  /**
   * Merges data into an existing entry, after the members of `unset` are removed, in one write.
   * @param data `undefined`: only removes members, of an entry that must exist.
   * @throws BrokerError `revision_conflict`; `not_found` without data.
   */
  update(name: string, data: string | JsonObject | undefined, options?: UpdateOptions): Promise<ClientEntry>;
  /** Restarts an entry's lifetime. Throws `not_found`, `revision_conflict`. */
  renew(name: string, options?: ConditionalOptions): Promise<ClientEntry>;
  /**
   * Reads an entry. `get<T>` types its data; nothing checks that type.
   * @throws BrokerError `not_found`.
   */
  get<T extends EntryShape = string | JsonObject>(name: string): Promise<ClientEntry<T>>;
  /** Waits until the entry exists. The wait survives broken connections and restarts. Throws `timeout`. */
  waitFor<T extends EntryShape = string | JsonObject>(
    name: string,
    options?: WaitOptions,
  ): Promise<ClientEntry<T>>;
  /** Removes an entry; succeeds when there is none. Throws `revision_conflict`. */
  delete(name: string, options?: ConditionalOptions & LockedOptions): Promise<void>;
  /**
   * Removes all entries whose names start with `prefix`, and returns how many there were. Each is removed by
   * itself, 1,000 in one request. An entry that is written meanwhile is removed too, or stays if its name has
   * been passed already. Throws `usage` for an empty prefix.
   */
  deletePrefix(prefix: string, options?: LockedOptions): Promise<ClientCount>;
  /** All entries whose names start with `prefix`. */
  list<T extends EntryShape = string | JsonObject>(prefix?: string): Promise<ClientList<T>>;
  /** How many entries have names that start with `prefix`. */
  count(prefix?: string): Promise<ClientCount>;
  /**
   * Waits until at least `count` entries exist under `prefix` (a barrier), and returns how many there are. With
   * `entries` it lists them: in a fleet of N, that sends N × N entries over the network. Throws `timeout`.
   */
  waitForCount<T extends EntryShape = string | JsonObject>(
    count: number,
    prefix: string | undefined,
    options: CountOptions & { readonly entries: true },
  ): Promise<ClientList<T>>;
  waitForCount(count: number, prefix?: string, options?: CountOptions): Promise<ClientCount>;
}

/** How long one request waits at the broker, in milliseconds. A longer wait takes several requests. */
const POLL_MS = 30_000;
/** The same through a proxy, in milliseconds: many close a connection that is silent for 30 seconds. */
export const PROXIED_POLL_MS = 20_000;

/**
 * The registry over calls of `services`.
 * @param reconnect what a waiting call does when it has lost its broker; default: it tries again.
 * @param pollMs how long one request waits at the broker, in milliseconds; default 30,000.
 */
export function createRegistry(
  rpc: Pick<Rpc, 'call'> & Partial<Pick<Rpc, 'closed'>>,
  reconnect: Retry = async (error) => error,
  pollMs: number = POLL_MS,
): Registry {
  // The types of entries exist for the compiler alone.
  return withChecks(createUntyped(rpc, { reconnect, pollMs, closed: rpc.closed })) as Registry;
}

const waits = ['timeoutMs', 'signal'];
/** The options of each method, and their position among its arguments. */
const taken: Readonly<Record<string, readonly [place: number, names: readonly string[]]>> = {
  register: [2, ['ttlMs', 'ifSame', 'ifLocked', 'wait', ...waits]],
  replace: [2, ['ttlMs', 'ifRevision', 'ifLocked']],
  update: [2, ['ttlMs', 'ifRevision', 'ifLocked', 'unset']],
  renew: [1, ['ifRevision']],
  delete: [1, ['ifRevision', 'ifLocked']],
  deletePrefix: [1, ['ifLocked']],
  waitFor: [1, waits],
  waitForCount: [2, [...waits, 'entries']],
};

/**
 * Refuses unknown options: a program without types may misspell a condition, and must not write without it.
 */
function withChecks(registry: Untyped): Untyped {
  const checked = Object.entries(taken).map(([method, [place, names]]) => {
    const call = registry[method as keyof Untyped] as (...args: unknown[]) => Promise<unknown>;
    const run = async (...args: unknown[]): Promise<unknown> => {
      checkMethod(method, args[place] ?? {}, names);
      return call(...args);
    };
    return [method, run];
  });
  return { ...registry, ...Object.fromEntries(checked) } as Untyped;
}

/** A registry without types for the data of entries. */
type Untyped = {
  readonly [K in Exclude<keyof Registry, 'waitForCount'>]: (
    ...args: Parameters<Registry[K]>
  ) => ReturnType<Registry[K]>;
} & {
  waitForCount(count: number, prefix?: string, options?: CountOptions): Promise<ClientCount | ClientList>;
};

function createUntyped(rpc: Pick<Rpc, 'call'>, waiting: Waiting): Untyped {
  const write = async (
    method: string,
    name: string,
    params: CallParams,
    options?: CallOptions,
  ): Promise<ClientEntry> => entryOf(name, await rpc.call('services', method, { name, ...params }, options));

  const page = async (params: CallParams, options?: CallOptions): Promise<PageAnswer> =>
    pageOf(await rpc.call('services', 'List', params, options));

  /** A page without its entries. An older broker refuses that option; then the page has one entry. */
  const countPage = async (params: CallParams, options?: CallOptions): Promise<PageAnswer> => {
    try {
      return await page({ ...params, entries: false }, options);
    } catch (error) {
      const { code, message } = error as BrokerError;
      if (code !== 'invalid_request' || !message.includes("'entries'")) throw error;
      return page({ ...params, limit: 1 }, options);
    }
  };

  const listAll = async (prefix: string, first?: PageAnswer, options?: CallOptions): Promise<ClientList> => {
    let last = first ?? (await page({ prefix }, options));
    // The revision of the first page: a watch that starts there reports what changed while the others were
    // read.
    const { revision } = last;
    const entries = [...last.entries];
    let after: string | undefined;
    while (last.next !== undefined) {
      checkProgress(last, last.next, after);
      if (entries.length > MAX_LISTED) throw noEnd(`more than ${MAX_LISTED} entries`);
      after = last.next;
      last = await page({ prefix, after }, options);
      entries.push(...last.entries);
    }
    return { entries, revision };
  };

  return {
    register: (name, data, { ttlMs, ifSame = false, ifLocked, wait = false, ...until } = {}) => {
      const params = { data, ttl: ttlText(ttlMs), if_same: ifSame || undefined, ...lockParams(ifLocked) };
      if (!wait) return write('Register', name, params, callWithin(until));
      // Tells this wait from all others.
      const ticket = crypto.randomUUID();
      const asked = performance.now();
      return poll(waiting, until, `'${name}' to be free`, async (ms, call) => {
        const waited = `${Math.floor(performance.now() - asked)}ms`;
        try {
          // A wait that is shorter than usual is the last one.
          const final = ms !== `${waiting.pollMs}ms` || undefined;
          return await write('Register', name, { ...params, ticket, waited, wait: ms, final }, call);
        } catch (error) {
          if ((error as BrokerError).code === 'already_exists') return undefined;
          throw error;
        }
      });
    },
    replace: (name, data, { ttlMs, ifRevision, ifLocked } = {}) =>
      write('Replace', name, {
        data,
        ttl: ttlText(ttlMs),
        if_revision: ifRevision,
        ...lockParams(ifLocked),
      }),
    update: (name, data, { ttlMs, ifRevision, ifLocked, unset = [] } = {}) =>
      write('Update', name, {
        data,
        unset: unset.length > 0 ? unset : undefined,
        ttl: ttlText(ttlMs),
        if_revision: ifRevision,
        ...lockParams(ifLocked),
      }),
    renew: (name, { ifRevision } = {}) => write('Renew', name, { if_revision: ifRevision }),
    get: (name) => write('Get', name, {}),
    waitFor: (name, options = {}) =>
      poll(waiting, options, `entry '${name}'`, async (wait, call) => {
        try {
          return entryOf(name, await rpc.call('services', 'Get', { name, wait }, call));
        } catch (error) {
          if ((error as BrokerError).code === 'not_found') return undefined;
          throw error;
        }
      }),
    async delete(name, { ifRevision, ifLocked } = {}) {
      await rpc.call('services', 'Delete', { name, if_revision: ifRevision, ...lockParams(ifLocked) });
    },
    deletePrefix: (prefix, { ifLocked } = {}) => deletePrefix(rpc, prefix, lockParams(ifLocked)),
    list: (prefix = '') => listAll(prefix),
    async count(prefix = '') {
      return countOf(await countPage({ prefix }));
    },
    waitForCount: (count, prefix = '', { entries = false, ...options } = {}) =>
      poll(waiting, options, `${count} entries${prefix && ` under '${prefix}'`}`, async (wait, call) => {
        const ask = entries ? page : countPage;
        const first = await ask({ prefix, wait, wait_count: count }, call);
        if (first.count < count) return undefined;
        return entries ? listAll(prefix, first, call) : countOf(first);
      }),
  };
}

function countOf({ count, revision }: PageAnswer): ClientCount {
  return { count, revision };
}

/** Each page must advance the list: a broker that sends the same page again would be asked for ever. */
function checkProgress({ entries }: PageAnswer, next: string, after: string | undefined): void {
  if (entries.length === 0 || !leadsOn(next, after))
    throw noEnd(`a page that does not advance, after '${next.slice(0, 80)}'`);
}

function lockParams(held: HeldLock | undefined): CallParams {
  return held ? { lock: held.name, lock_revision: held.revision } : {};
}

function callWithin({ timeoutMs, signal }: WaitOptions): CallOptions {
  return timeoutMs === undefined ? { signal } : { timeoutMs, signal };
}

function ttlText(ttlMs: number | undefined): Json | undefined {
  return ttlMs === undefined ? undefined : `${ttlMs}ms`;
}
