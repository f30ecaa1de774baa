import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { createQuota } from '../memory/quota.ts';
import type { IndexSnapshot } from '../memory/entry-index.ts';
import type {
  Guard,
  Mutation,
  MutationResult,
  Store,
  StoreHealth,
  WatchItem,
  WatchOptions,
} from '../store.ts';
import { openCluster } from './gateway/cluster.ts';
import { checkEtcdOptions, type EtcdStoreOptions } from './etcd-options.ts';
import { createFence } from './writes/fence.ts';
import { createFollower, type Follower } from './mirror/follower.ts';
import { createFreshness } from './mirror/freshness.ts';
import { createHealth, type Health } from './health.ts';
import { readIdentity } from './identity.ts';
import { getOrPut } from './get-or-put.ts';
import { createLeases } from './writes/leases.ts';
import { createMembers } from './gateway/members.ts';
import { LONGEST_PAGE_MS } from './gateway/pages.ts';
import { createMirror } from './mirror/mirror.ts';
import { createRegistryStatus } from './registry-status.ts';
import { resolveWithin } from '../../protocol/timeout.ts';
import { deferred, pause, unlessAborted } from './promises.ts';
import { openWatch, pendingWatch } from './mirror/open-watch.ts';
import { createWrites } from './writes/writes.ts';

export type { EtcdStoreOptions } from './etcd-options.ts';
export type { EtcdFetch } from './gateway/gateway.ts';

/** The registry that {@link etcdStore} opens. */
export interface EtcdStore extends Store {
  /** Identifies this registry; all its brokers share it. Empty until {@link EtcdStore.ready}. */
  readonly id: string;
  /**
   * Resolves once the registry has been read, which may take minutes for a large one. It is read in any case,
   * and all other calls wait for it, for at most `timeoutMs` and half a second.
   * @throws BrokerError `invalid_config` when it never will be (etcd is too old, refuses the user, or holds
   * other data). `unavailable` when etcd does not answer within `timeoutMs`, or the reading comes no further
   * for 15 seconds: the attempts continue.
   */
  ready(): Promise<void>;
  /** The registry at one revision, not older than this call. Only one at a time; it must be ended. */
  snapshot(): Promise<IndexSnapshot>;
  /**
   * The text that all stores of this registry share under this name: the result of the first caller's `make`.
   */
  common(name: string, make: () => Promise<string>): Promise<string>;
  /**
   * Lists this process among those that serve the registry, until it is closed, with the description `about`.
   * To be called once.
   */
  join(id: string, about: string): void;
  /**
   * The descriptions of the processes that serve it now, at most 1,000. A process that has died is listed for
   * 15 seconds.
   * @throws BrokerError `unavailable`
   */
  members(): Promise<readonly string[]>;
}

const TIMEOUT_MS = 5000;
const RETRY_MS = 500;
/** The longest time for cleaning up while closing, in milliseconds. */
const TIDY_MS = 1000;

/**
 * A registry in an etcd cluster (3.4 or newer), by its JSON gateway, with `fetch` alone. Any number of
 * brokers and apps may use one registry: all rules of the store's contract hold between them. One watch of
 * etcd serves all clients of this store.
 *
 * Lifetimes are leases: they are rounded up to whole seconds, at least 2 with etcd's defaults. Without a
 * majority of the cluster reads and writes throw `unavailable`; waits and watches continue once it is back.
 * It needs a process that lives on between requests.
 *
 * @throws BrokerError `invalid_config` for a missing, wrong or unknown option.
 * @example
 * ```ts
 * import { createApp } from 'bpbroker/app';
 * import { etcdStore } from 'bpbroker/store';
 * const store = etcdStore({ endpoints: ['http://127.0.0.1:2379'] });
 * const app = createApp({ store });
 * ```
 */
export function etcdStore(options: EtcdStoreOptions): EtcdStore {
  checkEtcdOptions(options);
  const { timeoutMs = TIMEOUT_MS, log = (): void => undefined } = options;
  const { gateway, keys } = openCluster(options);
  const status = createRegistryStatus(log);
  const mirror = createMirror(options, status);
  const { index } = mirror;
  const quota = createQuota(index, options.maxBytes ?? Infinity);
  const leases = createLeases(gateway, timeoutMs);
  const fence = createFence(gateway, keys);
  const members = createMembers({ gateway, keys, leases, timeoutMs, log });
  const onStalled = (): void => follower?.restart();
  const freshness = createFreshness({ gateway, keys, mirror, timeoutMs, onStalled });
  const writes = createWrites({
    gateway,
    keys,
    mirror,
    status,
    leases,
    fence,
    freshness,
    quota,
    timeoutMs,
    check: () => health?.check(),
    onFull: () => health?.full(),
  });
  let follower: Follower | undefined;
  let health: Health | undefined;
  let isOpen = false;
  let problem: BrokerError | undefined;
  let closing: Promise<void> | undefined;
  /** Rejects where the registry cannot be opened, and another attempt would not help. */
  const refused = deferred<never>();
  const underWay = new Set<Promise<unknown>>();
  const opened = open();
  // One for all calls: what each of them attaches to it is let go once the registry is open.
  const outcome = Promise.race([opened.then(() => true), refused.promise]);
  outcome.catch(() => undefined);

  async function open(): Promise<void> {
    for (;;) {
      if (closing) return;
      try {
        if (!status.id) status.begin(await readIdentity(gateway, keys, performance.now() + timeoutMs));
        follower ??= createFollower({ gateway, keys, mirror, status, onWrite: writes.seen, log });
        // Reading a registry of any size has no time limit.
        if (!(await mirror.progress.reach(1, timeoutMs))) {
          throw new BrokerError('unavailable', follower.problem ?? 'the registry is still being read');
        }
        await freshness.fresh();
        if (closing) return;
        health = createHealth({ gateway, keys, freshness, follower, log });
        isOpen = true;
        return;
      } catch (error) {
        problem = error instanceof BrokerError ? error : new BrokerError('internal', messageOf(error));
        if (problem.code === 'invalid_config') refused.reject(problem);
        await pause(RETRY_MS);
      }
    }
  }

  /** Waits for the registry for as long as a read or a write may. */
  async function openSoon(): Promise<void> {
    if (closing) throw closedError();
    if (isOpen) return;
    if (problem?.code === 'invalid_config') throw problem;
    // The reason of the failure is known a moment later.
    if (await resolveWithin(timeoutMs + RETRY_MS, outcome)) return;
    throw (
      problem ??
      new BrokerError('unavailable', `the registry could not be read from etcd within ${timeoutMs} ms`)
    );
  }

  /** The same for a registry of any size: it waits on while the reading of it comes further. */
  async function ready(): Promise<void> {
    for (;;) {
      try {
        await openSoon();
        return;
      } catch (error) {
        const isAdvancing = performance.now() - (follower?.advancedAt ?? -Infinity) < LONGEST_PAGE_MS;
        const isFinal = error instanceof BrokerError && error.code === 'invalid_config';
        if (closing || isFinal || !isAdvancing) throw error;
      }
    }
  }

  /** Resolves once the mirror may be read: it then holds every write that was settled before. */
  async function fresh(): Promise<void> {
    await openSoon();
    health?.check();
    status.check();
    await freshness.fresh();
    status.check();
  }

  async function write(name: string, mutation: Mutation, guard?: Guard): Promise<MutationResult> {
    await openSoon();
    health?.check();
    status.check();
    return await writes.mutate(name, mutation, guard);
  }

  async function watchSoon(watched: WatchOptions): Promise<AsyncIterableIterator<WatchItem>> {
    await fresh();
    return openWatch(mirror, watched);
  }

  async function shutDown(): Promise<void> {
    health?.close();
    await Promise.allSettled(underWay);
    mirror.end(closedError());
    await opened;
    await follower?.close();
    // Keys that are left behind do no harm.
    await members.leave(performance.now() + TIDY_MS).catch(() => undefined);
    await leases.settled();
    await fence.abandon(performance.now() + TIDY_MS).catch(() => undefined);
  }

  return {
    get id(): string {
      return status.id;
    },
    ready,
    get revision(): number {
      return index.revision;
    },
    fresh,
    async snapshot() {
      await fresh();
      return index.snapshot();
    },
    async common(name, make) {
      await openSoon();
      return await getOrPut(gateway, keys.common(name), make, performance.now() + timeoutMs);
    },
    join: (member, about) => members.join(member, about),
    async members() {
      await openSoon();
      return await members.list(performance.now() + timeoutMs);
    },
    async get(name) {
      await fresh();
      return index.get(name);
    },
    async lifetimeLeft(name) {
      await fresh();
      const entry = index.get(name);
      const lease = entry && mirror.leaseOf(entry);
      return lease === undefined ? undefined : await leases.left(lease);
    },
    async list(listed = {}) {
      await fresh();
      return index.page(listed);
    },
    async count(prefix) {
      await fresh();
      const count = mirror.counts.hold(prefix);
      try {
        await count.ready;
        return count.value;
      } finally {
        count.letGo();
      }
    },
    async waitForEntry(name, signal) {
      await unlessAborted(signal, fresh());
      return await mirror.waits.forEntry(name, signal);
    },
    async waitForCount(prefix, count, signal) {
      await unlessAborted(signal, fresh());
      return await mirror.waits.forCount(prefix, count, signal);
    },
    watch(watched = {}) {
      const { after } = watched;
      const isKnown = status.problem === undefined && (after === undefined || after <= mirror.reached);
      // A revision may be newer than the mirror, so etcd is asked before it counts as a future one. A closed
      // registry reports nothing.
      return (isOpen && isKnown) || closing ? openWatch(mirror, watched) : pendingWatch(watchSoon(watched));
    },
    mutate(name, mutation, guard) {
      if (closing) return Promise.reject(closedError());
      const writing = write(name, mutation, guard);
      const over = writing.then(
        () => undefined,
        () => undefined,
      );
      underWay.add(over);
      void over.then(() => underWay.delete(over));
      return writing;
    },
    health(): StoreHealth {
      if (closing) return { writable: false, reason: 'the store has been closed' };
      const usage = options.maxBytes === undefined ? {} : { usage: quota.usage() };
      const reason = isOpen
        ? (status.problem ?? health?.reason())
        : (problem?.message ?? 'the registry is being read');
      return reason === undefined ? { writable: true, ...usage } : { writable: false, reason, ...usage };
    },
    close() {
      closing ??= shutDown();
      return closing;
    },
  };
}

function closedError(): BrokerError {
  return new BrokerError('unavailable', 'The store has been closed');
}
