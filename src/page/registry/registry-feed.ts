import { ApiError, type BrokerApi, entryOf, type PageEntry, type StampedData } from '../api/broker-api.ts';
import type { EntryTree } from './entry-tree.ts';
import { eventsOf } from '../api/event-stream.ts';

/** The state of the feed. */
export type FeedState =
  | { readonly kind: 'reading'; readonly count: number }
  | { readonly kind: 'live' }
  /** An access key is needed; `message` says why the given one was refused. */
  | { readonly kind: 'key'; readonly message: string }
  | { readonly kind: 'absent'; readonly message: string }
  | { readonly kind: 'lost'; readonly message: string };

/** One change, for the list of recent ones. */
export interface FeedChange {
  readonly type: 'put' | 'delete' | 'expire';
  readonly name: string;
  readonly revision: number;
  /** Unix time in seconds. */
  readonly at: number;
}

export interface FeedOptions {
  readonly api: BrokerApi;
  readonly tree: EntryTree;
  readonly now: () => number;
  readonly onState: (state: FeedState) => void;
  /** The tree has changed. */
  readonly onTree: () => void;
  readonly onChange: (change: FeedChange) => void;
}

/**
 * Keeps the tree up to date: it reads the registry, follows its changes, and starts again after a broken
 * connection.
 */
export interface RegistryFeed {
  /** Starts again, with the present key. */
  start(): void;
  /**
   * Reads entries again whose lifetime ends: a renewal is not a change, so it causes no event. It reads the
   * number of entries too, where the page does not hold all. It does nothing while the feed is not live.
   */
  refresh(names: readonly string[]): Promise<void>;
  /** The number of entries, also of those that the page does not hold. */
  readonly count: number;
  /** Whether there may be entries that the page does not hold. */
  readonly isPartial: boolean;
}

/** The most entries that the page holds; a larger registry needs the command line with a prefix. */
const MAX_ENTRIES = 20_000;
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 5000;

export function createRegistryFeed(options: FeedOptions): RegistryFeed {
  const { api, tree, now, onState, onTree } = options;
  let running = new AbortController();
  let count = 0;
  let isPartial = false;
  let isLive = false;

  function tell(state: FeedState): void {
    isLive = state.kind === 'live';
    onState(state);
  }

  async function read(): Promise<number> {
    const begun = await api.list({});
    const known = new Set<string>();
    for (let page = begun; ;) {
      for (const entry of page.entries) {
        tree.put(entry);
        known.add(entry.name);
      }
      ({ count } = page);
      tell({ kind: 'reading', count });
      isPartial = page.next !== undefined;
      if (page.next === undefined || known.size >= MAX_ENTRIES) break;
      page = await api.list({ after: page.next });
    }
    for (const name of tree.names()) if (!known.has(name)) tree.remove(name);
    onTree();
    // Changes during the reads of the pages come as changes.
    return begun.revision;
  }

  async function follow(after: number, signal: AbortSignal): Promise<number> {
    let revision = after;
    for await (const { type, data } of eventsOf(await api.watch(after, signal))) {
      const change = JSON.parse(data) as ChangeEvent;
      if (type === 'watching') tell({ kind: 'live' });
      else if (type === 'reset') return -1;
      else if (type === 'error') throw new ApiError(change.message ?? 'The watch ended', 503, 'unavailable');
      else {
        take(change);
        ({ revision } = change);
      }
    }
    return revision;
  }

  function take(change: ChangeEvent): void {
    const { type, name, revision } = change;
    const existed = tree.get(name) !== undefined;
    if (type !== 'put') tree.remove(name);
    else if (existed || tree.size < MAX_ENTRIES) tree.put(changedEntry(change, now()));
    else isPartial = true;
    // An event does not say whether an entry that the page does not hold is a new one.
    if (!isPartial) count = tree.size;
    options.onChange({ type, name, revision, at: change.last_write_ts ?? now() });
    onTree();
  }

  async function run(signal: AbortSignal): Promise<void> {
    let revision = -1;
    let retryMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      try {
        if (revision < 0) revision = await read();
        if (signal.aborted) return;
        revision = await follow(revision, signal);
        retryMs = FIRST_RETRY_MS;
      } catch (error) {
        if (signal.aborted) return;
        const state = stateOf(error);
        tell(state);
        if (state.kind !== 'lost') return;
        await new Promise((resolve) => setTimeout(resolve, retryMs));
        retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
      }
    }
  }

  return {
    start() {
      running.abort();
      running = new AbortController();
      tell({ kind: 'reading', count });
      void run(running.signal);
    },
    async refresh(names) {
      for (const name of names) {
        const present = tree.get(name);
        if (!isLive || !present) continue;
        try {
          const entry = await api.get(name);
          // The feed may have told of its end first, and then says no more of it.
          if (tree.get(name)) tree.put(entry);
        } catch (error) {
          if (!(error instanceof ApiError) || error.status !== 404) throw error;
          if (tree.get(name) === present) tree.remove(name);
        }
      }
      if (isLive && isPartial) count = await api.count();
      onTree();
    },
    get count(): number {
      return count;
    },
    get isPartial(): boolean {
      return isPartial;
    },
  };
}

interface ChangeEvent {
  readonly type: 'put' | 'delete' | 'expire';
  readonly name: string;
  readonly revision: number;
  readonly data?: unknown;
  readonly last_write_ts?: number;
  readonly last_write_ip?: string;
  readonly ttl?: number;
  readonly message?: string;
}

function changedEntry(change: ChangeEvent, now: number): PageEntry {
  const { name, revision, data, last_write_ts = 0, last_write_ip = '', ttl } = change;
  const members = typeof data === 'string' ? { _str: data } : (data as StampedData);
  const entry = entryOf(name, revision, { ...members, last_write_ts, last_write_ip }, ttl);
  return ttl === undefined ? entry : { ...entry, endsAt: now + ttl };
}

function stateOf(error: unknown): FeedState {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof ApiError)) return { kind: 'lost', message };
  if (error.status === 401) return { kind: 'key', message };
  if (error.status === 403 || error.status === 404) return { kind: 'absent', message };
  return { kind: 'lost', message };
}
