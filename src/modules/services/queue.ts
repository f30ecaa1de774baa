import type { Entry } from '../../protocol/registry/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Guard, Mutation, MutationResult, Store, WatchItem } from '../../store/store.ts';
import { register, type Write } from './mutations.ts';

/** Those who wait to register a name that exists, in the order of asking: a line for each name. */
export interface Queues {
  /** Runs the mutation `own`, a registration, at once; refused with `already_exists` also while others wait for the name, whose turn comes first. */
  registerNow(name: string, own: Mutation, guard: Guard | undefined): Promise<MutationResult>;
  /**
   * Registers as soon as the name is free and everybody has been served who asked before.
   * @throws what `signal` is aborted with; what the store refuses the write with; BrokerError `too_many_requests` where those who
   *   wait, for whatever name, bring more than 16 MiB of data.
   */
  register(write: Write, options: PlaceOptions): Promise<MutationResult>;
}

export interface PlaceOptions {
  /** How long it has been waited for already, in milliseconds: its place is that of whoever came then. */
  readonly waited: number;
  /** Has it find its place again that it had with the same ticket. */
  readonly ticket: string | undefined;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** Whether whoever waited has gone, and is not about to ask again. */
  isOver(): boolean;
}

interface Place {
  readonly since: number;
  readonly ticket: string | undefined;
  /** The request that waits here; absent between two of one client. */
  waiting: Waiting | undefined;
  /** Ends a place that nobody has come back to. */
  timer?: NodeJS.Timeout | undefined;
}

interface Waiting {
  readonly write: Write;
  resolve(result: MutationResult): void;
  reject(reason: unknown): void;
}

const nothing = (): void => undefined;

/** How long a place is kept for a client whose request is over, which asks again at once. */
const KEPT_MS = 1000;
/** Between two attempts where a watch fails. */
const PAUSE_MS = 100;
/** JSON of the data of all who wait, which they hold for as long as that, and of each what it takes to let it wait. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
const WAITER_BYTES = 512;

export function createQueues(store: Store): Queues {
  const queues = new Map<string, Queue>();
  let waitingBytes = 0;
  return {
    registerNow(name, own, guard) {
      const inTurn: Mutation = (current) => {
        if (!current && queues.has(name))
          throw new BrokerError(
            'already_exists',
            `Entry '${name}' is waited for by others, whose turn comes first`,
          );
        return own(current);
      };
      return store.mutate(name, inTurn, guard);
    },
    register(write, options) {
      const { name } = write;
      // Before a line is made: one that nobody ever stands in would have no end, and nobody got in before it.
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- what it was aborted with, as it is
      if (options.signal.aborted) return Promise.reject(options.signal.reason);
      const size = WAITER_BYTES + Buffer.byteLength(JSON.stringify(write.data));
      if (waitingBytes + size > MAX_WAITING_BYTES) return Promise.reject(tooMuch(name));
      waitingBytes += size;
      const queue = queues.get(name) ?? createQueue(store, name, () => queues.delete(name));
      queues.set(name, queue);
      return queue.wait(write, options).finally(() => (waitingBytes -= size));
    },
  };
}

function tooMuch(name: string): BrokerError {
  return new BrokerError(
    'too_many_requests',
    `Those who wait to register entries hold nearly ${MAX_WAITING_BYTES} bytes of data, which is the limit; ask for '${name}' again later, or with less data`,
    { retryAfter: 1 },
  );
}

interface Queue {
  wait(write: Write, options: PlaceOptions): Promise<MutationResult>;
}

function createQueue(store: Store, name: string, onEmpty: () => void): Queue {
  /** In the order of asking. */
  const places: Place[] = [];
  let told = nothing;
  let ending = new AbortController();
  let watch = openWatch();
  let isServed = false;

  function openWatch(): AsyncIterator<WatchItem> {
    ending = new AbortController();
    return store.watch({ name, signal: ending.signal });
  }

  function changed(): void {
    if (places.length === 0) ending.abort();
    told();
  }

  function leave(place: Place): void {
    clearTimeout(place.timer);
    const at = places.indexOf(place);
    if (at >= 0) places.splice(at, 1);
    changed();
  }

  /** Waits until the client of the first in line is there, or the line is empty. */
  async function untilPresent(): Promise<void> {
    while (places[0] && !places[0].waiting) await new Promise<void>((resolve) => (told = resolve));
  }

  /** Gives the name to the first in line. False where somebody has it. */
  async function give(place: Place): Promise<boolean> {
    const asked = place.waiting;
    if (!asked) return true;
    try {
      const write = { ...asked.write, now: Math.floor(Date.now() / 1000) };
      const result = await store.mutate(name, register(write, false));
      const { waiting } = place;
      if (waiting) {
        leave(place);
        waiting.resolve(result);
      } else if (result.entry) await store.mutate(name, removeIfIs(result.entry));
      return true;
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'already_exists') return false;
      const { waiting } = place;
      leave(place);
      waiting?.reject(error);
      return true;
    }
  }

  /** Waits until the entry has gone, or may have, or nobody waits any more. */
  async function untilGone(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await watch.next();
        if (!done && value.type === 'put') continue;
        if (done) watch = openWatch();
        return;
      }
    } catch {
      // It fell behind: the next attempt shows how things are. A driver whose watches fail is not asked all the time.
      watch = openWatch();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async function serve(): Promise<void> {
    // Looked at anew before the end: somebody may have come in the same turn.
    while (places.length > 0) {
      await untilPresent();
      const [place] = places;
      if (place && !(await give(place))) await untilGone();
    }
    ending.abort();
    onEmpty();
  }

  function placeOf({ waited, ticket }: PlaceOptions): Place {
    const own = ticket === undefined ? undefined : places.find((place) => place.ticket === ticket);
    if (own) return own;
    const since = performance.now() - waited;
    const place: Place = { since, ticket, waiting: undefined };
    const behind = places.findIndex((other) => other.since > since);
    places.splice(behind < 0 ? places.length : behind, 0, place);
    return place;
  }

  return {
    wait(write, options) {
      const { signal, ticket } = options;
      return new Promise((resolve, reject) => {
        const place = placeOf(options);
        clearTimeout(place.timer);
        // Its client has asked anew, and does not hear any more what the earlier request is answered.
        place.waiting?.reject(new BrokerError('already_exists', `Entry '${name}' is asked for anew`));
        const abort = (): void => {
          if (place.waiting === own) place.waiting = undefined;
          // What a signal was aborted with, as it is.
          // oxlint-disable-next-line typescript/prefer-promise-reject-errors
          reject(signal.reason);
          if (place.waiting) return;
          if (ticket === undefined || options.isOver()) return leave(place);
          place.timer = setTimeout(leave, KEPT_MS, place);
          changed();
        };
        const settled = (): void => signal.removeEventListener('abort', abort);
        const own: Waiting = {
          write,
          resolve(result) {
            settled();
            resolve(result);
          },
          reject(reason) {
            settled();
            // oxlint-disable-next-line typescript/prefer-promise-reject-errors
            reject(reason);
          },
        };
        signal.addEventListener('abort', abort, { once: true });
        place.waiting = own;
        changed();
        if (isServed) return;
        isServed = true;
        void serve();
      });
    },
  };
}

/** Takes back an entry, unless it is another one by now. */
export function removeIfIs(entry: Entry): Mutation {
  return (current) => (current?.revision === entry.revision ? { action: 'delete' } : { action: 'keep' });
}
