import { compareNames, MAX_NAME_BYTES } from '../../protocol/registry/names.ts';
import type { EntryIndex } from './entry-index.ts';
import { yieldToEventLoop } from './event-loop.ts';

/** The number of entries under a prefix: counted once, then kept up to date from the changes. */
export interface PrefixCounts {
  /**
   * The count of a prefix for one holder, who must let it go.
   * @param onChange is called once the count is right, and after each later change of it.
   */
  hold(prefix: string, onChange?: () => void): PrefixCount;
  /**
   * Notes that an entry was created (1) or removed (-1); called right after each such change of the index.
   */
  changed(name: string, by: number): void;
}

export interface PrefixCount {
  /** Resolves once `value` is right; it stays right after that. */
  readonly ready: Promise<void>;
  readonly isReady: boolean;
  readonly value: number;
  letGo(): void;
}

interface Counting {
  readonly prefix: string;
  count: number;
  /** The last counted name, as long as there may be more. */
  position: string | undefined;
  complete: boolean;
  holders: number;
  ready: Promise<void>;
  readonly listeners: Set<() => void>;
}

/** The names counted in one turn of the event loop. */
const PIECE = 2000;
/** The most counts without a holder that are kept, so that the pages of one list are counted once. */
const MAX_IDLE = 64;

export function createPrefixCounts(index: Pick<EntryIndex, 'count'>, piece: number = PIECE): PrefixCounts {
  const countings = new Map<string, Counting>();
  /**
   * The number of counted prefixes of each length: a change looks up only its own beginnings of these
   * lengths.
   */
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
    // An incomplete count is not worth keeping, nor is one of a prefix that is longer than any name.
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
        // The rest of the counting finds this change by itself.
        if (!complete && (position === undefined || compareNames(name, position) > 0)) continue;
        counting.count += by;
        if (complete) tell(counting);
      }
    },
  };
}
