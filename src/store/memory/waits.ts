import * as sortedBtree from 'sorted-btree';
import type { Entry } from '../../protocol/registry/entry.ts';
import type { CountWait } from '../store.ts';
import type { PrefixCount, PrefixCounts } from './prefix-counts.ts';
import type { EntryIndex } from './entry-index.ts';
import { yieldToEventLoop } from './event-loop.ts';

/**
 * Waits for an entry, or for a number of entries, indexed by their condition: a change costs only the waits
 * whose condition it meets (contract, section 9).
 */
export interface Waits {
  forEntry(name: string, signal: AbortSignal): Promise<Entry>;
  forCount(prefix: string, count: number, signal: AbortSignal): Promise<CountWait>;
  /** Notes that an entry was created; called after the change of the index, and of its counts. */
  made(name: string): void;
  /** Refuses every wait, also later ones. */
  end(reason: Error): void;
}

interface Waiter {
  /** Answers it if its condition is met now; else it waits on. */
  answer(): void;
  refuse(reason: unknown): void;
}

type Waiters = Set<Waiter>;

/** The waits for numbers of entries under one prefix. */
interface Barrier {
  readonly count: PrefixCount;
  /** Indexed by the number that they wait for. */
  readonly numbers: sortedBtree.default<number, Waiters>;
  users: number;
}

// As in tree.ts: the place of a CommonJS class differs by runtime.
const exported = sortedBtree.default as unknown;
const BTree = (
  typeof exported === 'function' ? exported : (exported as { default: unknown }).default
) as new () => Barrier['numbers'];

const nothing: () => void = () => undefined;

/**
 * The waits that are answered in one turn of the event loop, about half a millisecond: other requests run
 * between the turns.
 */
const PER_TURN = 8;

export function createWaits(
  index: Pick<EntryIndex, 'get' | 'revision'>,
  counts: PrefixCounts,
  perTurn: number = PER_TURN,
): Waits {
  const byName = new Map<string, Waiters>();
  const byPrefix = new Map<string, Barrier>();
  /** Waits whose condition has been met, in that order. They are in no index any more. */
  let due: Waiter[] = [];
  let answering = false;
  let ended: Error | undefined;

  async function release(waiters: Iterable<Waiter>): Promise<void> {
    for (const waiter of waiters) due.push(waiter);
    if (answering) return;
    answering = true;
    while (due.length > 0) {
      for (const waiter of due.splice(0, perTurn)) waiter.answer();
      if (due.length > 0) await yieldToEventLoop();
    }
    answering = false;
  }

  /**
   * Waits until `find` returns a value when its turn has come.
   * @param enter adds the wait to an index, which releases it once there may be a value; the returned
   * function removes it again.
   */
  function wait<T>(
    signal: AbortSignal,
    find: () => T | undefined,
    enter: (waiter: Waiter) => () => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      let leave = nothing;
      let over = false;
      const end = (): void => {
        over = true;
        signal.removeEventListener('abort', abort);
        leave();
      };
      const waiter: Waiter = {
        answer() {
          if (over) return;
          const found = find();
          if (found === undefined) {
            leave = enter(waiter);
            return;
          }
          end();
          resolve(found);
        },
        refuse(reason) {
          if (over) return;
          end();
          // The very reason of the signal.
          // oxlint-disable-next-line typescript/prefer-promise-reject-errors
          reject(reason);
        },
      };
      const abort = (): void => waiter.refuse(signal.reason);
      if (ended ?? signal.aborted) return waiter.refuse(ended ?? signal.reason);
      signal.addEventListener('abort', abort, { once: true });
      waiter.answer();
    });
  }

  function enterName(name: string, waiter: Waiter): () => void {
    const group = byName.get(name) ?? new Set();
    byName.set(name, group.add(waiter));
    return () => {
      group.delete(waiter);
      if (group.size === 0 && byName.get(name) === group) byName.delete(name);
    };
  }

  function enterNumber({ numbers }: Barrier, count: number, waiter: Waiter): () => void {
    const group = numbers.get(count) ?? new Set();
    numbers.set(count, group.add(waiter));
    return () => {
      group.delete(waiter);
      if (group.size === 0 && numbers.get(count) === group) numbers.delete(count);
    };
  }

  function barrierOf(prefix: string): Barrier {
    const present = byPrefix.get(prefix);
    if (present) return present;
    const barrier: Barrier = {
      count: counts.hold(prefix, () => open(barrier)),
      numbers: new BTree(),
      users: 0,
    };
    byPrefix.set(prefix, barrier);
    return barrier;
  }

  /** Releases the waits whose number has been reached. */
  function open({ count, numbers }: Barrier): void {
    for (
      let least = numbers.minKey();
      least !== undefined && least <= count.value;
      least = numbers.minKey()
    ) {
      const released = numbers.get(least) ?? [];
      numbers.delete(least);
      void release(released);
    }
  }

  return {
    forEntry: (name, signal) =>
      wait(
        signal,
        () => index.get(name),
        (waiter) => enterName(name, waiter),
      ),
    async forCount(prefix, count, signal) {
      const barrier = barrierOf(prefix);
      barrier.users++;
      const find = (): CountWait | undefined => {
        const { isReady, value } = barrier.count;
        return isReady && value >= count ? { count: value, revision: index.revision } : undefined;
      };
      try {
        return await wait(signal, find, (waiter) => enterNumber(barrier, count, waiter));
      } finally {
        barrier.users--;
        if (barrier.users === 0) {
          byPrefix.delete(prefix);
          barrier.count.letGo();
        }
      }
    },
    made(name) {
      const waiters = byName.get(name);
      if (!waiters) return;
      byName.delete(name);
      void release(waiters);
    },
    end(reason) {
      ended = reason;
      const barriers = [...byPrefix.values()].flatMap(({ numbers }) => [...numbers.values()]);
      for (const group of [...byName.values(), ...barriers, due]) {
        for (const waiter of group) waiter.refuse(reason);
      }
    },
  };
}
