import type { Change, Entry } from '../../protocol/registry/entry.ts';
import { compareNames } from '../../protocol/registry/names.ts';
import type { ListOptions, Page } from '../store.ts';
import { sizeOf } from './entry-size.ts';
import { createNameTree, loadNameTree } from './name-tree.ts';

/** The durable registry in memory. No entry's revision is above the index's. */
export interface EntryIndex {
  /** The revision of the last applied change. */
  revision: number;
  readonly size: number;
  /** The size of all entries together for `_store.max_bytes`: see `entry-size.ts`. */
  readonly bytes: number;
  get(name: string): Entry | undefined;
  /** The size of an entry; 0 where it does not exist. */
  bytesOf(name: string): number;
  /**
   * Takes over a whole registry, the map included, into an empty index. `sizes` are in the order of
   * `entries`.
   */
  load(entries: Map<string, Entry>, sizes: readonly number[], revision: number): void;
  /** @param bytes the size of the entry, where it is known already. */
  apply(change: Change, bytes?: number): void;
  page(options: ListOptions): Page;
  /**
   * Counts at most `limit` names that start with `prefix` and come after `after`. `last` is the last counted
   * one, if there may be more.
   */
  count(
    prefix: string,
    after: string | undefined,
    limit: number,
  ): { count: number; last: string | undefined };
  entries(): IterableIterator<Entry>;
  /** Begins a snapshot of the present state. Only one at a time: the one before must have ended. */
  snapshot(): IndexSnapshot;
}

/** The index at one revision, read piece by piece while the index changes. */
export interface IndexSnapshot {
  readonly revision: number;
  /**
   * The next entries, at most `limit`; empty at the end. They are in byte order, with those changed meanwhile
   * last.
   */
  next(limit: number): readonly Entry[];
  /** Must be called at the end, also for an incomplete snapshot. */
  end(): void;
}

const PAGE_ENTRIES = 1000;

export function createEntryIndex(): EntryIndex {
  let entries = new Map<string, Entry>();
  let tree = createNameTree();
  let revision = 0;
  let bytes = 0;
  /** The snapshot in progress: its revision, its last name, and former states after that name. */
  let taking: { revision: number; position: string | undefined; former: Entry[] } | undefined;

  function keepFormerState(entry: Entry): void {
    if (taking === undefined || entry.revision > taking.revision) return;
    if (taking.position !== undefined && compareNames(entry.name, taking.position) <= 0) return;
    taking.former.push(entry);
  }

  function put(entry: Entry, size: number): void {
    const before = entries.get(entry.name);
    if (before !== undefined) {
      keepFormerState(before);
      bytes -= tree.get(entry.name) ?? 0;
    }
    entries.set(entry.name, entry);
    tree.set(entry.name, size);
    bytes += size;
  }

  function remove(name: string): void {
    const before = entries.get(name);
    if (before === undefined) return;
    keepFormerState(before);
    bytes -= tree.get(name) ?? 0;
    entries.delete(name);
    tree.delete(name);
  }

  return {
    get revision(): number {
      return revision;
    },
    set revision(value: number) {
      revision = value;
    },
    get size(): number {
      return entries.size;
    },
    get bytes(): number {
      return bytes;
    },
    get: (name) => entries.get(name),
    bytesOf: (name) => tree.get(name) ?? 0,
    load(loaded, sizes, at) {
      tree = loadNameTree([...loaded.keys()], sizes);
      entries = loaded;
      revision = at;
      bytes = 0;
      for (const size of sizes) bytes += size;
    },
    apply(change, size) {
      if (change.entry === undefined) remove(change.name);
      else put(change.entry, size ?? sizeOf(change.entry));
      revision = change.revision;
    },
    page({ prefix = '', after, limit = PAGE_ENTRIES }) {
      const found: Entry[] = [];
      const from = after !== undefined && compareNames(after, prefix) > 0 ? after : prefix;
      for (const name of tree.keys(from)) {
        if (name === after) continue;
        if (!name.startsWith(prefix)) break;
        if (found.length >= limit) {
          const last = found.at(-1);
          return last === undefined
            ? { entries: found, revision }
            : { entries: found, next: last.name, revision };
        }
        const entry = entries.get(name);
        if (entry !== undefined) found.push(entry);
      }
      return { entries: found, revision };
    },
    count(prefix, after, limit) {
      let count = 0;
      let last: string | undefined;
      for (const name of tree.keys(after ?? prefix)) {
        if (name === after) continue;
        if (!name.startsWith(prefix)) break;
        if (count === limit) return { count, last };
        count++;
        last = name;
      }
      return { count, last: undefined };
    },
    entries: () => entries.values(),
    snapshot() {
      const own = { revision, position: undefined as string | undefined, former: [] as Entry[] };
      taking = own;
      let walked = false;
      return {
        revision,
        next(limit) {
          const found: Entry[] = [];
          while (!walked && found.length === 0) {
            let seen = 0;
            walked = true;
            const from = own.position;
            for (const name of tree.keys(from)) {
              if (name === from) continue;
              if (seen++ === limit) {
                walked = false;
                break;
              }
              own.position = name;
              const entry = entries.get(name);
              if (entry !== undefined && entry.revision <= own.revision) found.push(entry);
            }
          }
          return found.length > 0 ? found : own.former.splice(-limit);
        },
        end() {
          if (taking === own) taking = undefined;
        },
      };
    },
  };
}
