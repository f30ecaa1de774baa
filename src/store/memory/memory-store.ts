import { BrokerError } from '../../protocol/errors.ts';
import { checkOptions, isPositive, type OptionRule, type OptionRules } from '../../protocol/options.ts';
import type { Guard, Mutation, MutationResult, Store } from '../store.ts';
import { stateOf } from './new-entry.ts';
import { ENTRY_BYTES, textOf } from './entry-size.ts';
import { createRegistryState, type RegistryState, type StateLimits } from './registry-state.ts';

/** The options of {@link memoryStore}. */
export interface MemoryStoreOptions extends StateLimits {
  /** The most bytes of all entries: for each its name and data as JSON, and 512 more. Default 128 MiB. */
  readonly maxBytes?: number;
}

const MAX_BYTES = 128 * 1024 * 1024;

const limit = (what: string): OptionRule => ({ expected: `${what} above 0`, accepts: isPositive });
const rules: OptionRules<MemoryStoreOptions> = {
  maxBytes: limit('a number of bytes'),
  historyChanges: limit('a number of changes'),
  historyBytes: limit('a number of bytes'),
  watchBytes: limit('a number of bytes'),
};

/**
 * A registry in the memory of this process. **Nothing is durable**: when the process ends, every entry is
 * lost, and no other process sees them. It keeps every other rule of the store's contract: one winner,
 * revisions, watches, lifetimes.
 *
 * Timers count the lifetimes. Where a platform stops timers between requests, a later use ends an entry: 3
 * seconds after the first use that finds its lifetime ended. That use may be in a process that was suspended
 * and still has renewals to read.
 *
 * @throws BrokerError `invalid_config` for a limit that is unknown, or not a number above 0.
 * @example
 * ```ts
 * import { createApp } from 'bpbroker/app';
 * import { memoryStore } from 'bpbroker/store';
 * const app = createApp({ store: memoryStore() });
 * export default app; // wherever Hono has an adapter
 * ```
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  checkOptions<MemoryStoreOptions>('memoryStore', options, rules);
  const state = createRegistryState({ ...options, maxBytes: options.maxBytes ?? MAX_BYTES }, (name) =>
    mutate(name, state.expire),
  );
  const { index, quota, expiry } = state;
  let closed = false;

  /** The state, without entries that should have ended by now. */
  function current(): RegistryState {
    for (const name of expiry.overdue()) decide(name, state.expire);
    return state;
  }

  // It is not async: mutations one after another see each other's results.
  function mutate(name: string, mutation: Mutation, guard?: Guard): Promise<MutationResult> {
    if (closed) return Promise.reject(closedError());
    try {
      current();
      guard?.check(index.get(guard.name));
      return Promise.resolve(decide(name, mutation));
    } catch (error) {
      // The very reason that was thrown.
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors
      return Promise.reject(error);
    }
  }

  function decide(name: string, mutation: Mutation): MutationResult {
    const before = index.get(name);
    const outcome = mutation(before);
    const revision = index.revision + 1;
    if (outcome.action === 'put') {
      const { data } = outcome.entry;
      const make = stateOf(name, outcome.entry);
      const { size } = textOf({ name, data });
      quota.admit(name, size, index.bytesOf(name));
      const entry = make(revision);
      state.apply({ type: 'put', name, revision, entry }, size, size);
      return { entry, revision };
    }
    if (outcome.action === 'delete' && before !== undefined) {
      state.apply({ type: outcome.expired ? 'expire' : 'delete', name, revision }, ENTRY_BYTES, 0);
      return { revision };
    }
    if (outcome.action === 'renew') expiry.renew(name);
    return before ? { entry: before, revision: index.revision } : { revision: index.revision };
  }

  return {
    get revision(): number {
      return index.revision;
    },
    get: (name) => current().get(name),
    peek: (name) => current().peek(name),
    lifetimeLeft: (name) => current().lifetimeLeft(name),
    list: (listed) => current().list(listed),
    count: (prefix) => current().count(prefix),
    waitForEntry: (name, signal) => current().waitForEntry(name, signal),
    waitForCount: (prefix, count, signal) => current().waitForCount(prefix, count, signal),
    watch: (watched) => current().watch(watched),
    mutate,
    health: () =>
      closed
        ? { writable: false, reason: 'the store has been closed' }
        : { writable: true, usage: quota.usage() },
    close() {
      closed = true;
      expiry.close();
      state.end(closedError());
      return Promise.resolve();
    },
  };
}

function closedError(): BrokerError {
  return new BrokerError('unavailable', 'The store has been closed');
}
