import { compareNames, MAX_NAME_BYTES } from '../../protocol/registry/names.ts';
import type { EntryIndex } from './entry-index.ts';
import { yieldToEventLoop } from './event-loop.ts';

/** How many entries have names with a prefix: counted once, then kept up to date from what changes. */
export interface PrefixCounts {
  /**
   * The count of a prefix, for whoever holds it. It must be let go.
   * @param onChange is called once the count is right, and after each change of it from then on.
   */
  hold(prefix: string, onChange?: () => void): PrefixCount;
  /** An entry was made (1) or removed (-1): told after each such change of the index, before any other. */
  changed(name: string, by: number): void;
}

export interface PrefixCount {
  /** Settles once `value` is right; it is kept so after that. */
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  readonly value: number;
  letGo(): void;
}

interface Counting {
  readonly prefix: string;
  count: number;
  /** The last name counted, for as long as there may be more. */
  position: string | undefined;
  complete: boolean;
  holders: number;
  ready: Promise<void>;
  readonly listeners: Set<() => void>;
}

/** Names counted in one turn of the event loop. */
const PIECE = 2000;
/** Counts that nobody holds are kept, the latest used ones, so that the pages of one list are counted once. */
const MAX_IDLE = 64;

export function createPrefixCounts(index: Pick<EntryIndex, 'count'>, piece: number = PIECE): PrefixCounts {
  const countings = new Map<string, Counting>();
  /** How many prefixes of each length are counted: a change looks for its own beginnings of these lengths alone. */
  const lengths = new Map<number, number>();
  /** The longest unused first. */
  const idle = new Set<Counting>();

  async function countAll(counting: Counting): Promise<void> {
    while (countings.get(counting.prefix) === counting) {
      const { count, last } = index.count(counting.prefix, counting.position, piece);
      counting.count += count;
      counting.complete = last === undefined;
      if (counting.complete) {
        tell(counting);
        return;
      }
      counting.position = last;
      await yieldToEventLoop();
    }
  }

  function countingOf(prefix: string): Counting {
    const present = countings.get(prefix);
    if (present !== undefined) return present;
    const counting: Counting = {
      prefix,
      count: 0,
      position: undefined,
      complete: false,
      holders: 0,
      ready: Promise.resolve(),
      listeners: new Set(),
    };
    countings.set(prefix, counting);
    lengths.set(prefix.length, (lengths.get(prefix.length) ?? 0) + 1);
    counting.ready = countAll(counting);
    return counting;
  }

  function tell({ listeners }: Counting): void {
    for (const listener of listeners) listener();
  }

  function forget(counting: Counting): void {
    idle.delete(counting);
    countings.delete(counting.prefix);
    const left = (lengths.get(counting.prefix.length) ?? 1) - 1;
    if (left === 0) lengths.delete(counting.prefix.length);
    else lengths.set(counting.prefix.length, left);
  }

  function letGo(counting: Counting): void {
    counting.holders--;
    if (counting.holders > 0) return;
    // One that was not counted to its end has nothing worth keeping; nor has one that is longer than any name.
    if (!counting.complete || counting.prefix.length > MAX_NAME_BYTES) return forget(counting);
    idle.add(counting);
    for (const oldest of idle) {
      if (idle.size <= MAX_IDLE) return;
      forget(oldest);
    }
  }

  return {
    hold(prefix, onChange) {
      const counting = countingOf(prefix);
      counting.holders++;
      if (onChange) counting.listeners.add(onChange);
      idle.delete(counting);
      let held = true;
      return {
        ready: counting.ready,
        get isReady(): boolean {
          return counting.complete;
        },
        get value(): number {
          return counting.count;
        },
        letGo() {
          if (!held) return;
          held = false;
          if (onChange) counting.listeners.delete(onChange);
          letGo(counting);
        },
      };
    },
    changed(name, by) {
      for (const length of lengths.keys()) {
        if (length > name.length) continue;
        const counting = countings.get(name.slice(0, length));
        if (counting === undefined) continue;
        const { complete, position } = counting;
        // What counting has not come to yet, it will find as it is then.
        if (!complete && (position === undefined || compareNames(name, position) > 0)) continue;
        counting.count += by;
        if (complete) tell(counting);
      }
    },
  };
}
