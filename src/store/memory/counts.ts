import { compareNames } from '../../protocol/names.ts';
import type { LiveCount } from '../store.ts';
import type { Table } from './table.ts';

/** How many entries have names with a prefix: counted once, then kept up to date from what changes. */
export interface Counts {
  open(prefix: string): LiveCount;
  /** An entry was made (1) or removed (-1): told after each such change of the table, before any other. */
  changed(name: string, by: number): void;
}

interface Counting {
  readonly prefix: string;
  count: number;
  /** The last name counted, for as long as there may be more. */
  position: string | undefined;
  complete: boolean;
  users: number;
  ready: Promise<void>;
}

/** Names counted in one turn of the event loop. */
const PIECE = 2000;

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    // Not every platform has it; a timer takes longer.
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve, 0);
  });
}

export function createCounts(table: Pick<Table, 'count'>, piece: number = PIECE): Counts {
  const countings = new Map<string, Counting>();

  async function countAll(counting: Counting): Promise<void> {
    while (counting.users > 0) {
      const { count, last } = table.count(counting.prefix, counting.position, piece);
      counting.count += count;
      counting.complete = last === undefined;
      if (counting.complete) return;
      counting.position = last;
      await nextTurn();
    }
  }

  function countingOf(prefix: string): Counting {
    const present = countings.get(prefix);
    if (present !== undefined) {
      present.users++;
      return present;
    }
    const counting: Counting = {
      prefix,
      count: 0,
      position: undefined,
      complete: false,
      users: 1,
      ready: Promise.resolve(),
    };
    countings.set(prefix, counting);
    counting.ready = countAll(counting);
    return counting;
  }

  return {
    open(prefix) {
      const counting = countingOf(prefix);
      let open = true;
      return {
        ready: counting.ready,
        get value(): number {
          return counting.count;
        },
        close() {
          if (!open) return;
          open = false;
          if (--counting.users === 0) countings.delete(prefix);
        },
      };
    },
    changed(name, by) {
      for (const counting of countings.values()) {
        if (!name.startsWith(counting.prefix)) continue;
        const { complete, position } = counting;
        // What counting has not come to yet, it will find as it is then.
        if (complete || (position !== undefined && compareNames(name, position) <= 0)) counting.count += by;
      }
    },
  };
}
