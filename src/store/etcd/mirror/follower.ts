import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import { decodeDeletion, decodeEntry } from '../entry-value.ts';
import type { Gateway } from '../gateway/gateway.ts';
import type { Keys } from '../keys.ts';
import { loadEntries } from './loader.ts';
import {
  modRevisionOf,
  revisionOf,
  type StreamMessage,
  type WatchEvent,
  type WatchResponse,
} from '../gateway/messages.ts';
import type { Mirror } from './mirror.ts';
import type { RegistryStatus } from '../registry-status.ts';
import { pause } from '../promises.ts';

/**
 * Keeps the mirror up to date: it reads the registry once, and then follows it by one watch, at one member
 * after another.
 */
export interface Follower {
  /** The member of the open watch; undefined while none is open. */
  readonly endpoint: string | undefined;
  /** Why the registry cannot be followed now, for people; undefined while it can. */
  readonly problem: string | undefined;
  /**
   * The moment, by `performance.now()`, when the reading of the registry came further than ever before;
   * -Infinity before it began. Readings that fail again and again do not move it.
   */
  readonly advancedAt: number;
  /** Starts the watch again at another member. No change is missed. */
  restart(): void;
  close(): Promise<void>;
}

export interface FollowerOptions {
  readonly gateway: Gateway;
  readonly keys: Keys;
  readonly mirror: Mirror;
  readonly status: RegistryStatus;
  /**
   * Called for each write in the watch, with the id that {@link encodeEntry} or {@link encodeDeletion} got.
   */
  readonly onWrite: (write: string, revision: number) => void;
  readonly log: (level: 'info' | 'warn' | 'error', message: string) => void;
}

/**
 * The revisions before the present one that a new broker reads change by change, so that watches can resume
 * across its start.
 */
const BEHIND = 1000;
/** The most bytes that it reads in this way; with more, it begins with the present state. */
const BEHIND_BYTES = 16 * 1024 * 1024;
const MIN_PAUSE_MS = 50;
const MAX_PAUSE_MS = 1000;

export function createFollower(options: FollowerOptions): Follower {
  const { gateway, keys, mirror, status, log } = options;
  let isClosed = false;
  let isFilled = false;
  let behind = BEHIND;
  /**
   * etcd's revision when the registry was read; up to here the watch supplies the changes that were left out.
   */
  let present = 0;
  let stream = new AbortController();
  let endpoint: string | undefined;
  let problem: string | undefined;
  let advancedAt = -Infinity;
  /** The most keys that a reading has got since the last complete one; -1 where none has begun. */
  let mostRead = -1;
  /** The last deletion that etcd has reported. */
  let deletion = { revision: 0, expired: false };
  /**
   * Entries whose lifetime has ended in etcd during a migration, with etcd's revision. They live on at the
   * registry's new place, where other changes get these revisions. A watch that had reported the end here
   * would not notice the changes that it misses there.
   */
  const ended = new Map<string, number>();

  function onRead(read: number): void {
    if (isClosed) throw new BrokerError('unavailable', 'the store is closed');
    if (read <= mostRead) return;
    mostRead = read;
    advancedAt = performance.now();
  }

  async function fill(): Promise<void> {
    const loading = {
      gateway,
      keys,
      behind,
      status,
      onRead,
      onProblem: (text: string) => log('error', text),
    };
    const { entries, revision, present: seen } = await loadEntries(loading);
    if (isClosed) return;
    if (status.isOver) end();
    // Watches and waits must not get the present state.
    if (status.problem !== undefined) throw new BrokerError('unavailable', status.problem);
    ended.clear();
    mirror.fill(entries, revision);
    present = seen;
    isFilled = true;
    mostRead = -1;
    advancedAt = performance.now();
    if (mirror.fillings > 1) log('warn', `the registry was read again, at revision ${mirror.reached}`);
  }

  async function watch(signal: AbortSignal): Promise<void> {
    const request = {
      ...keys.all,
      start_revision: mirror.progress.position + 1,
      progress_notify: true,
      fragment: true,
    };
    const opened = await gateway.open<WatchResponse>('/v3/watch', { create_request: request }, signal);
    let read = 0;
    for await (const message of opened.messages) {
      if (signal.aborted) return;
      read += take(message);
      endpoint = opened.endpoint;
      problem = undefined;
      if (behind > 0 && read > BEHIND_BYTES && mirror.progress.position < present && mirror.fillings === 1) {
        behind = 0;
        isFilled = false;
        return;
      }
    }
  }

  /** Takes over the changes of one message; returns their bytes, about. */
  function take({ result, error }: StreamMessage<WatchResponse>): number {
    if (error) throw new BrokerError('unavailable', `the watch was refused: ${error.message}`);
    if (!result) return 0;
    const { header, created, canceled, compact_revision: compacted, events } = result;
    if (compacted !== undefined) {
      isFilled = false;
      behind = 0;
      throw new BrokerError('unavailable', `the changes up to revision ${compacted} have been compacted`);
    }
    if (canceled) {
      throw new BrokerError(
        'unavailable',
        `the watch was ended: ${result.cancel_reason ?? 'no reason given'}`,
      );
    }
    if (events === undefined) {
      // A notice of progress: all changes before it have been reported.
      if (!created) mirror.progress.advance(revisionOf(header));
      return 0;
    }
    let bytes = 0;
    let revision = 0;
    for (const event of events) {
      // More changes of this revision may follow.
      if (modRevisionOf(event.kv) > revision) mirror.progress.advance(revision);
      revision = modRevisionOf(event.kv);
      report(event, revision);
      bytes += event.kv.value?.length ?? 0;
    }
    mirror.progress.advance(result.fragment ? revision - 1 : revision);
    return bytes;
  }

  function report({ type, kv }: WatchEvent, revision: number): void {
    if (kv.key === keys.deleted && type !== 'DELETE') {
      const { write, expired } = decodeDeletion(kv);
      deletion = { revision, expired };
      options.onWrite(write, revision);
      return;
    }
    if (kv.key === keys.registry) {
      status.take(type === 'DELETE' ? undefined : kv, revision);
      if (status.isOver) end();
      else if (status.problem === undefined) tellEnded();
      return;
    }
    const name = keys.nameOf(kv.key);
    if (name === undefined) return;
    if (type === 'DELETE') {
      const told = deletion.revision === revision ? deletion : undefined;
      // Without a deletion's key, the lease of the entry ended, if it had one.
      const expired = told?.expired ?? mirror.index.get(name)?.ttlMs !== undefined;
      const hasLeft = ended.size > 0 || (status.leftAt !== undefined && revision > status.leftAt);
      if (status.isOver) return;
      if (expired && hasLeft) ended.set(name, revision);
      else mirror.remove(expired ? 'expire' : 'delete', name, revision);
      return;
    }
    try {
      const stored = decodeEntry(name, kv, status.offset);
      if (!status.isOver) mirror.put(stored);
      options.onWrite(stored.write, revision);
    } catch (error) {
      // The former entry is gone in any case.
      log('error', messageOf(error));
      if (!status.isOver) mirror.remove('delete', name, revision);
    }
  }

  /** Reports the held-back ends: the registry stays after all. */
  function tellEnded(): void {
    for (const [name, revision] of ended) mirror.remove('expire', name, revision);
    ended.clear();
  }

  /** Ends waits and watches. Clients look for another broker once this one is stopped. */
  function end(): void {
    ended.clear();
    mirror.end(new BrokerError('unavailable', `The registry cannot be used now: ${status.problem ?? ''}`));
  }

  async function follow(): Promise<void> {
    let wait = MIN_PAUSE_MS;
    for (;;) {
      if (isClosed) return;
      stream = new AbortController();
      const { position } = mirror.progress;
      try {
        if (!isFilled) await fill();
        if (isFilled && !isClosed) await watch(stream.signal);
        problem ??= 'the watch ended';
      } catch (error) {
        const reason = messageOf(error);
        // The end of a connection is logged only if the next one fails too, and only once.
        const isNew = problem !== undefined && reason !== problem;
        if (isNew && !isClosed) log('warn', `cannot follow the registry in etcd: ${reason}`);
        problem = reason;
      }
      endpoint = undefined;
      if (isClosed) return;
      // A reader that has asked for another watch waits for it.
      const isAtOnce = stream.signal.aborted || mirror.progress.position > position;
      wait = isAtOnce ? MIN_PAUSE_MS : Math.min(MAX_PAUSE_MS, wait * 2);
      await pause(wait * (0.5 + Math.random() / 2));
    }
  }

  const following = follow();
  return {
    get endpoint() {
      return endpoint;
    },
    get problem() {
      return problem;
    },
    get advancedAt() {
      return advancedAt;
    },
    restart() {
      if (endpoint !== undefined) gateway.blame(endpoint);
      stream.abort(new Error('the watch is started again'));
    },
    async close() {
      isClosed = true;
      stream.abort(new Error('the store is closed'));
      await following;
    },
  };
}
