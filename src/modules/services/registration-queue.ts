import type { Entry } from '../../protocol/registry/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Guard, Mutation, MutationResult, Store, WatchItem } from '../../store/store.ts';
import { register, type Write } from './mutations.ts';

/**
 * Clients that wait to register a name that exists: a queue for each name, in the order of their requests.
 */
export interface Queues {
  /**
   * Runs the mutation `own`, a registration, at once. It is also refused with `already_exists` while others
   * wait for the name, since they came first.
   */
  registerNow(name: string, own: Mutation, guard: Guard | undefined): Promise<MutationResult>;
  /**
   * Registers as soon as the name is free and every earlier request has been served.
   * @throws the reason of an aborted `signal`; the store's refusal of the write; BrokerError
   * `too_many_requests` where all waiting requests, for any name, hold more than 16 MiB of data.
   */
  register(write: Write, options: QueueOptions): Promise<MutationResult>;
}

export interface QueueOptions {
  /**
   * How long the client has waited already, in milliseconds. Its place is as if it had asked that long ago.
   */
  readonly waited: number;
  /** Finds the place again that the client had with the same ticket. */
  readonly ticket: string | undefined;
  /** Ends the wait. */
  readonly signal: AbortSignal;
  /** Whether the waiting client has gone, and will not ask again. */
  isOver(): boolean;
}

interface Place {
  readonly since: number;
  readonly ticket: string | undefined;
  /** The request that waits here; absent between two requests of one client. */
  waiting: Waiting | undefined;
  /** Removes a place to which no client has come back. */
  timer?: NodeJS.Timeout | undefined;
}

interface Waiting {
  readonly write: Write;
  resolve(result: MutationResult): void;
  reject(reason: unknown): void;
}

const nothing = (): void => undefined;

/** How long a place is kept for a client whose request has ended, in milliseconds: it asks again at once. */
const KEPT_MS = 1000;
/** The pause between two attempts while watches fail, in milliseconds. */
const PAUSE_MS = 100;
/** The most bytes that all waiting requests hold: the JSON of their data, and the overhead of each. */
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
            `Other clients wait for entry '${name}', and their turn comes first`,
          );
        return own(current);
      };
      return store.mutate(name, inTurn, guard);
    },
    register(write, options) {
      const { name } = write;
      // This comes before a queue is made: an empty queue would never end, and would block its name.
      // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- the reason of the signal,
      // unchanged
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
    `Registrations that wait hold nearly ${MAX_WAITING_BYTES} bytes of data, which is the limit; ask for '${name}' again later, or with less data`,
    { retryAfter: 1 },
  );
}

interface Queue {
  wait(write: Write, options: QueueOptions): Promise<MutationResult>;
}

function createQueue(store: Store, name: string, onEmpty: () => void): Queue {
  /** In the order of their requests. */
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

  /** Waits until the client at the head of the queue is there, or the queue is empty. */
  async function untilPresent(): Promise<void> {
    while (places[0] && !places[0].waiting) await new Promise<void>((resolve) => (told = resolve));
  }

  /** Registers the name for the head of the queue. False where it exists. */
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

  /** Waits until the entry is gone, or may be, or no client waits any more. */
  async function untilGone(): Promise<void> {
    try {
      for (;;) {
        const { done, value } = await watch.next();
        if (!done && value.type === 'put') continue;
        if (done) watch = openWatch();
        return;
      }
    } catch {
      // The watch fell behind: the next attempt shows the present state. A driver whose watches fail gets
      // pauses.
      watch = openWatch();
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  async function serve(): Promise<void> {
    // Checked again before the end: a client may have come in the same turn.
    while (places.length > 0) {
      await untilPresent();
      const [place] = places;
      if (place && !(await give(place))) await untilGone();
    }
    ending.abort();
    onEmpty();
  }

  function placeOf({ waited, ticket }: QueueOptions): Place {
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
        // Its client has sent a new request, and no longer reads the answer to the earlier one.
        place.waiting?.reject(
          new BrokerError('already_exists', `A newer request for entry '${name}' replaces this one`),
        );
        const abort = (): void => {
          if (place.waiting === own) place.waiting = undefined;
          // The reason of the signal, unchanged.
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

/** Removes an entry, unless it has become another one. */
export function removeIfIs(entry: Entry): Mutation {
  return (current) => (current?.revision === entry.revision ? { action: 'delete' } : { action: 'keep' });
}
