import type { Change } from '../../protocol/registry/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { WatchItem, WatchOptions } from '../store.ts';

/** The open watches, indexed by the names that they cover: a change costs only the watches that cover it. */
export interface WatchHub {
  /** A watch that first yields `backlog`, then all later changes. */
  open(options: WatchOptions, backlog: readonly WatchItem[]): AsyncIterableIterator<WatchItem>;
  publish(change: Change, bytes: number): void;
  /** Tells every watch that it may miss changes up to `revision`. */
  reset(revision: number): void;
  /** Ends every watch, also one that is opened later. */
  close(): void;
}

interface Watcher {
  offer(item: WatchItem, bytes: number): void;
  end(): void;
}

interface Step {
  resolve(result: IteratorResult<WatchItem, undefined>): void;
}

const finished: IteratorReturnResult<undefined> = { done: true, value: undefined };

export function covers({ name, prefix = '' }: WatchOptions, changed: string): boolean {
  return name === undefined ? changed.startsWith(prefix) : changed === name;
}

/** @param maxBytes the most bytes of journal records that wait for a slow reader. */
export function createWatchHub(maxBytes: number): WatchHub {
  const byName = new Map<string, Set<Watcher>>();
  const byPrefix = new Map<string, Set<Watcher>>();
  /** The number of watched prefixes of each length. */
  const lengths = new Map<number, number>();
  const all = new Set<Watcher>();
  let isClosed = false;

  function endAll(): void {
    for (const watcher of all) watcher.end();
  }

  function register({ name, prefix = '' }: WatchOptions, watcher: Watcher): () => void {
    const index = name === undefined ? byPrefix : byName;
    const key = name ?? prefix;
    const group = index.get(key) ?? new Set();
    if (group.size === 0) {
      index.set(key, group);
      if (name === undefined) lengths.set(key.length, (lengths.get(key.length) ?? 0) + 1);
    }
    group.add(watcher);
    all.add(watcher);
    return () => {
      if (!all.delete(watcher)) return;
      group.delete(watcher);
      if (group.size > 0) return;
      index.delete(key);
      if (name !== undefined) return;
      const left = (lengths.get(key.length) ?? 1) - 1;
      if (left === 0) lengths.delete(key.length);
      else lengths.set(key.length, left);
    };
  }

  return {
    open(options, backlog) {
      const watch = createWatch(options, backlog, maxBytes, register);
      if (isClosed) endAll();
      return watch;
    },
    publish(change, bytes) {
      if (all.size === 0) return;
      for (const watcher of byName.get(change.name) ?? []) watcher.offer(change, bytes);
      for (const length of lengths.keys()) {
        if (length > change.name.length) continue;
        for (const watcher of byPrefix.get(change.name.slice(0, length)) ?? []) watcher.offer(change, bytes);
      }
    },
    reset(revision) {
      const item: WatchItem = { type: 'reset', revision };
      for (const watcher of all) watcher.offer(item, 0);
    },
    close() {
      isClosed = true;
      endAll();
    },
  };
}

function createWatch(
  options: WatchOptions,
  backlog: readonly WatchItem[],
  maxBytes: number,
  register: (options: WatchOptions, watcher: Watcher) => () => void,
): AsyncIterableIterator<WatchItem> {
  // The backlog shares the history's own changes, so only later ones count against the limit.
  let queue: { item: WatchItem; bytes: number }[] = backlog.map((item) => ({ item, bytes: 0 }));
  let head = 0;
  let waitingBytes = 0;
  let waiters: Step[] = [];
  let failure: BrokerError | undefined;
  let ended = false;

  const unregister = register(options, {
    offer(item, bytes) {
      const waiter = waiters.shift();
      if (waiter) {
        waiter.resolve({ done: false, value: item });
        return;
      }
      if (waitingBytes > 0 && waitingBytes + bytes > maxBytes) {
        failure = new BrokerError(
          'unavailable',
          `The watch fell behind: more than ${maxBytes} bytes of changes wait to be read; resume it after the last revision read`,
        );
        stop();
        options.onBehind?.();
        return;
      }
      queue.push({ item, bytes });
      waitingBytes += bytes;
    },
    end: stop,
  });

  function stop(): void {
    if (ended) return;
    ended = true;
    unregister();
    options.signal?.removeEventListener('abort', stop);
    queue = [];
    head = 0;
    const waiting = waiters;
    waiters = [];
    for (const waiter of waiting) waiter.resolve(finished);
  }

  function take(): WatchItem | undefined {
    const next = queue[head];
    if (next === undefined) return undefined;
    head++;
    waitingBytes -= next.bytes;
    if (head > 256 && head * 2 > queue.length) {
      queue = queue.slice(head);
      head = 0;
    }
    return next.item;
  }

  options.signal?.addEventListener('abort', stop);
  if (options.signal?.aborted) stop();

  return {
    next() {
      const item = take();
      if (item !== undefined) return Promise.resolve({ done: false, value: item });
      if (failure !== undefined) {
        const thrown = failure;
        failure = undefined;
        return Promise.reject(thrown);
      }
      if (ended) return Promise.resolve(finished);
      return new Promise((resolve) => {
        waiters.push({ resolve });
      });
    },
    return() {
      stop();
      return Promise.resolve(finished);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
