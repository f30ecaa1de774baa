import * as sortedBtree from 'sorted-btree';
import type { Change, Entry } from '../../protocol/entry.ts';
import { compareNames } from '../../protocol/names.ts';
import type { ListOptions, Page } from '../store.ts';

// A CommonJS module: its class is the default export under Bun, and the default's `default` under Node and Deno.
type Tree = sortedBtree.default<string, Slot>;
const exported = sortedBtree.default as unknown;
const BTree = (
  typeof exported === 'function' ? exported : (exported as { default: unknown }).default
) as new (entries: undefined, compare: (a: string, b: string) => number) => Tree;

/** Where an entry lies; `mark` is the last snapshot that has it already (or need not have it). */
interface Slot {
  entry: Entry;
  mark: number;
}

/** The durable registry in memory. */
export interface Table {
  /** The revision of the last change applied. */
  revision: number;
  readonly size: number;
  get(name: string): Entry | undefined;
  apply(change: Change): void;
  page(options: ListOptions): Page;
  count(prefix: string): number;
  entries(): IterableIterator<Entry>;
  /** Begins a snapshot of the present state. One at a time: the one before must have ended. */
  snapshot(): TableSnapshot;
}

/** The table as it was at one revision, read piece by piece while the table goes on changing. */
export interface TableSnapshot {
  readonly revision: number;
  /** The next entries, at most `limit`; none when all have been given. In byte order, those changed meanwhile last. */
  next(limit: number): readonly Entry[];
  /** Must be called at the end, also of a snapshot given up. */
  end(): void;
}

const PAGE_ENTRIES = 1000;

export function createTable(): Table {
  const slots = new Map<string, Slot>();
  const tree = new BTree(undefined, compareNames);
  let revision = 0;
  let generation = 0;
  /** Former states of entries changed before the snapshot came to them; only while one is taken. */
  let formerStates: Entry[] | undefined;

  function keepFormerState(slot: Slot): void {
    if (formerStates !== undefined && slot.mark !== generation) formerStates.push(slot.entry);
  }

  function put(entry: Entry): void {
    const slot = slots.get(entry.name);
    if (slot === undefined) {
      const added = { entry, mark: generation };
      slots.set(entry.name, added);
      tree.set(entry.name, added);
      return;
    }
    keepFormerState(slot);
    slot.entry = entry;
    slot.mark = generation;
  }

  function remove(name: string): void {
    const slot = slots.get(name);
    if (slot === undefined) return;
    keepFormerState(slot);
    slots.delete(name);
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
      return slots.size;
    },
    get: (name) => slots.get(name)?.entry,
    apply(change) {
      if (change.entry === undefined) remove(change.name);
      else put(change.entry);
      revision = change.revision;
    },
    page({ prefix = '', after, limit = PAGE_ENTRIES }) {
      const entries: Entry[] = [];
      const from = after !== undefined && compareNames(after, prefix) > 0 ? after : prefix;
      for (const [name, slot] of tree.entries(from)) {
        if (name === after) continue;
        if (!name.startsWith(prefix)) break;
        if (entries.length >= limit) {
          const last = entries.at(-1);
          return last === undefined ? { entries, revision } : { entries, next: last.name, revision };
        }
        entries.push(slot.entry);
      }
      return { entries, revision };
    },
    count(prefix) {
      if (prefix === '') return slots.size;
      let count = 0;
      for (const name of tree.keys(prefix)) {
        if (!name.startsWith(prefix)) break;
        count++;
      }
      return count;
    },
    *entries() {
      for (const slot of slots.values()) yield slot.entry;
    },
    snapshot() {
      generation++;
      formerStates = [];
      let position: string | undefined;
      let walked = false;
      return {
        revision,
        next(limit) {
          const found: Entry[] = [];
          while (!walked && found.length === 0) {
            let seen = 0;
            walked = true;
            for (const [name, slot] of tree.entries(position)) {
              if (name === position) continue;
              if (seen++ === limit) {
                walked = false;
                break;
              }
              position = name;
              if (slot.mark === generation) continue;
              slot.mark = generation;
              found.push(slot.entry);
            }
          }
          return found.length > 0 ? found : (formerStates?.splice(-limit) ?? []);
        },
        end() {
          formerStates = undefined;
        },
      };
    },
  };
}
