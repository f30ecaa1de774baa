import type { Change, Entry } from '../../../protocol/registry/entry.ts';
import type { BrokerError } from '../../../protocol/errors.ts';
import { createPrefixCounts, type PrefixCounts } from '../../memory/prefix-counts.ts';
import { sizeOf } from '../../memory/entry-size.ts';
import type { StateLimits } from '../../memory/registry-state.ts';
import { createEntryIndex, type EntryIndex } from '../../memory/entry-index.ts';
import { createWaits, type Waits } from '../../memory/waits.ts';
import { createWatchHub, type WatchHub } from '../../memory/watchers.ts';
import type { StoredEntry } from '../entry-value.ts';
import { createProgress, type Progress } from './progress.ts';
import { createSparseHistory, type SparseHistory } from './sparse-history.ts';
import type { RegistryStatus } from '../registry-status.ts';

const MIB = 1024 * 1024;

/**
 * The registry as the broker's one watch has reported it. All waits, watches, counts and lists of clients use
 * it. It may be behind etcd, but never ahead: `freshness.ts` knows when it is not behind.
 */
export interface Mirror {
  readonly index: EntryIndex;
  readonly counts: PrefixCounts;
  readonly waits: Waits;
  readonly watches: WatchHub;
  readonly history: SparseHistory;
  /** The revision of etcd up to which it holds every change. */
  readonly progress: Progress;
  /** The same as a revision of the registry. */
  readonly reached: number;
  /** How often it has been filled again: changes in between did not come one by one. */
  readonly fillings: number;
  /** The lease of an entry that it holds or held. */
  leaseOf(entry: Entry): string | undefined;
  /** etcd's revision of the key of an entry that it holds or held. */
  modOf(entry: Entry): number;
  /** Takes over the next change of etcd, at its revision there. */
  put(stored: StoredEntry): void;
  remove(type: 'delete' | 'expire', name: string, mod: number): void;
  /**
   * Takes over the whole registry at a revision of etcd. Waits get the new entries in it; open watches get a
   * reset.
   */
  fill(entries: readonly StoredEntry[], mod: number): void;
  end(reason: BrokerError): void;
}

export function createMirror(limits: StateLimits, status: Pick<RegistryStatus, 'offset'>): Mirror {
  const index = createEntryIndex();
  const counts = createPrefixCounts(index);
  const waits = createWaits(index, counts);
  const watches = createWatchHub(limits.watchBytes ?? MIB);
  const progress = createProgress();
  const history = createSparseHistory({
    changes: limits.historyChanges ?? 10_000,
    bytes: limits.historyBytes ?? 16 * MIB,
  });
  const leases = new WeakMap<Entry, string>();
  /** For entries whose revision is not that of their key. */
  const mods = new WeakMap<Entry, number>();
  let fillings = 0;

  /** The size of the entry counts as its bytes in the history too. */
  function apply(change: Change): number {
    const { size } = index;
    const bytes = sizeOf({ name: change.name, data: change.entry?.data ?? {} });
    index.apply(change, bytes);
    if (index.size !== size) counts.changed(change.name, index.size - size);
    if (index.size > size) waits.made(change.name);
    return bytes;
  }

  function report(change: Change): void {
    const bytes = apply(change);
    history.push(change, bytes);
    watches.publish(change, bytes);
  }

  function hold({ entry, lease, mod }: StoredEntry): Entry {
    if (lease !== undefined) leases.set(entry, lease);
    if (entry.revision !== mod + status.offset) mods.set(entry, mod);
    return entry;
  }

  return {
    index,
    counts,
    waits,
    watches,
    history,
    progress,
    get reached(): number {
      return progress.position + status.offset;
    },
    get fillings(): number {
      return fillings;
    },
    leaseOf: (entry) => leases.get(entry),
    modOf: (entry) => mods.get(entry) ?? entry.revision - status.offset,
    put(stored) {
      const entry = hold(stored);
      report({ type: 'put', name: entry.name, revision: entry.revision, entry });
    },
    remove(type, name, mod) {
      if (index.get(name) === undefined) return;
      report({ type, name, revision: mod + status.offset });
    },
    fill(entries, mod) {
      fillings++;
      const revision = mod + status.offset;
      const now = new Map(entries.map((stored) => [stored.entry.name, stored]));
      for (const { name } of index.entries()) {
        if (!now.has(name)) apply({ type: 'delete', name, revision });
      }
      for (const stored of entries) {
        const { name, revision: written } = stored.entry;
        if (index.get(name)?.revision === written) continue;
        apply({ type: 'put', name, revision, entry: hold(stored) });
      }
      index.revision = revision;
      history.clear(revision);
      if (fillings > 1) watches.reset(revision);
      progress.advance(mod);
    },
    end(reason) {
      watches.close();
      waits.end(reason);
    },
  };
}
