import {
  ANY_BROKER,
  type NoQuery,
  openForm,
  type Query,
  type QueryForm,
} from '../../protocol/discovery/discovery.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import type { UdpPeer } from '../../runtime/network/udp.ts';
import { createDatagramQueue } from './datagram-queue.ts';
import { openDiscoverySockets } from './discovery-sockets.ts';
import { createReplyLimit, type ReplyLimit } from '../../api/access/rate-limit.ts';

/** Answers discovery (contract, section 6) until it is closed. */
export interface Responder {
  /** UDP port it answers on. */
  readonly port: number;
  /** What became of the datagrams so far. */
  stats(): ResponderStats;
  close(): Promise<void>;
}

export interface ResponderStats {
  readonly received: number;
  readonly answered: number;
  /** Queries for names that this broker does not hold. */
  readonly notHeld: number;
  /** No query at all, or for a reserved name. */
  readonly malformed: number;
  /** In the keyed form, and not made with a key of this broker. */
  readonly unauthenticated: number;
  /** In the open form, to a keyed broker. */
  readonly open: number;
  /** Made with the key, too long ago or ahead of time. */
  readonly stale: number;
  /** Made with the key, by a version whose queries do not say when. */
  readonly outdated: number;
  /**
   * The same question from the same socket, just answered: clients send to several addresses of one link. Or a keyed
   * query once more, wherever it came from.
   */
  readonly repeated: number;
  /** Left unanswered because of the rate limits, or because too many others waited. */
  readonly limited: number;
  /** Left unanswered because the registry could not be asked. */
  readonly failed: number;
}

export const noStats: ResponderStats = {
  received: 0,
  answered: 0,
  notHeld: 0,
  malformed: 0,
  unauthenticated: 0,
  open: 0,
  stale: 0,
  outdated: 0,
  repeated: 0,
  limited: 0,
  failed: 0,
};

export function addStats(one: ResponderStats, other: ResponderStats): ResponderStats {
  const keys = Object.keys(one) as (keyof ResponderStats)[];
  return Object.fromEntries(keys.map((key) => [key, one[key] + other[key]])) as unknown as ResponderStats;
}

export interface ResponderOptions {
  /** `''` or `'::'`: every interface, IPv4 and IPv6; `'0.0.0.0'`: every interface, IPv4; else one address. */
  readonly listenIp: string;
  /** UDP port; 0 picks a free one. */
  readonly port: number;
  /** Whether the registry holds an entry; not asked for names that no entry may have. */
  has(name: string): Promise<boolean>;
  readonly log: Logger;
  /** Whether a datagram is the broker's question to itself, whether it hears: that one is sent back as it came. */
  isOwn?(datagram: Uint8Array): boolean;
  /** How queries are read and answered; default: the open form. */
  readonly form?: QueryForm;
  /** How often, in the long run, interfaces that came later are looked for, in milliseconds; default 30,000. */
  readonly rescanMs?: number;
}

/** Replies per second to one source, and to all whose queries are shorter than their replies (security page). */
const limits = { perSource: 10, overall: 200 };
/** How long a repeated question counts as answered; clients repeat theirs after 100 ms at the earliest. */
const REPEAT_MS = 50;
/** Questions that may await the registry at the same time; more are dropped, as any datagram may be. */
const MAX_PENDING = 4096;
/** Questions kept in mind at the same time. */
const MAX_REMEMBERED = 65_536;
/** Datagrams dealt with in one turn of the event loop: about a millisecond, so that requests go on meanwhile. */
const PER_TURN = 16;
/** Bytes of datagrams that may wait for their turn: no fewer than the system keeps. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
/** Least time between two lines of the log about the same thing. */
const LOG_EVERY_MS = 10_000;

/**
 * Opens discovery's sockets and answers. Rejects with the system's error (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`) when
 * it cannot listen; that there is no IPv6 is no error.
 */
export async function startResponder(options: ResponderOptions): Promise<Responder> {
  const { listenIp, port, log, form = openForm, rescanMs = 30_000 } = options;
  const stats = { ...noStats };
  const amplified = createReplyLimit(limits);
  const matched = createReplyLimit({ perSource: limits.perSource });
  const limitOf = (query: Query): ReplyLimit => (query.isAmplified ? amplified : matched);
  const remember = createMemory(REPEAT_MS);
  const holds = createLookup(options);
  const sayIgnored = createIgnoredLog(log);
  let pending = 0;

  type Reply = (datagram: Uint8Array) => Promise<void>;
  const answer = async (query: Query, from: UdpPeer, reply: Reply, forget: () => void): Promise<void> => {
    pending += 1;
    const held = await holds(query.name);
    pending -= 1;
    if (held === undefined) stats.failed += 1;
    else if (!held) stats.notHeld += 1;
    else if (!query.asksChallenge && !limitOf(query).take(from.address, performance.now()))
      stats.limited += 1;
    else {
      const datagram = query.reply(from.address);
      if (datagram) {
        stats.answered += 1;
        await reply(datagram);
        return;
      }
      stats.failed += 1;
    }
    forget();
  };

  const onDatagram = (datagram: Uint8Array, from: UdpPeer, reply: Reply): void => {
    const query = from.port === 0 ? 'malformed' : form.read(datagram);
    if (typeof query === 'string') {
      stats[query] += 1;
      sayIgnored(query, from.address);
      return;
    }
    const now = performance.now();
    // Before the registry is asked: a flood must not become a flood of lookups. A challenge costs none, and is given once a query.
    if (!query.asksChallenge && (pending >= MAX_PENDING || !limitOf(query).allows(from.address, now))) {
      stats.limited += 1;
      return;
    }
    const forget = bothNew(
      remember(`${from.address} ${from.port} ${query.asksChallenge ? '?' : '='}${query.name}`, now),
      query.claim ? query.claim() : nothing,
    );
    if (!forget) stats.repeated += 1;
    else void answer(query, from, reply, forget);
  };

  const queue = createDatagramQueue<{ readonly from: UdpPeer; readonly reply: Reply }>(
    (datagram, { from, reply }) => onDatagram(datagram, from, reply),
    { perTurn: PER_TURN, maxBytes: MAX_WAITING_BYTES },
  );
  const hear = (datagram: Uint8Array, from: UdpPeer, reply: Reply): void => {
    if (options.isOwn?.(datagram)) {
      void reply(datagram);
      return;
    }
    stats.received += 1;
    if (!queue.add(datagram, { from, reply })) stats.limited += 1;
  };

  const sockets = await openDiscoverySockets({ listenIp, port, rescanMs, log, onDatagram: hear });
  return {
    port: sockets.port,
    stats: () => ({ ...stats }),
    close() {
      queue.close();
      return sockets.close();
    },
  };
}

/** Whether this broker holds a name; nothing when its registry could not say. Never rejects. */
function createLookup({ has, log }: ResponderOptions): (name: string) => Promise<boolean | undefined> {
  let loggedAt = -Infinity;
  return async (name) => {
    if (name === ANY_BROKER) return true;
    try {
      return await has(name);
    } catch (error) {
      const now = performance.now();
      if (now - loggedAt > LOG_EVERY_MS) {
        loggedAt = now;
        log.warn('Discovery cannot ask the registry', { error: messageOf(error) });
      }
      return undefined;
    }
  };
}

type Forget = () => void;
const nothing: Forget = () => undefined;

/**
 * Keeps questions in mind for `ms`. Gives nothing for one that it has in mind already, else a function that forgets it
 * again. Only questions under way or answered stay, and no more than 65,536: the oldest is forgotten then.
 */
function createMemory(ms: number): (question: string, now: number) => Forget | undefined {
  const seen = new Map<string, number>();
  return (question, now) => {
    for (const [old, at] of seen) {
      if (now - at <= ms) break;
      seen.delete(old);
    }
    if (seen.has(question)) return undefined;
    for (const oldest of seen.keys()) {
      if (seen.size < MAX_REMEMBERED) break;
      seen.delete(oldest);
    }
    seen.set(question, now);
    return () => seen.delete(question);
  };
}

/** Forgets both; nothing when one of them was in mind already, and then the other is forgotten. */
function bothNew(one: Forget | undefined, other: Forget | undefined): Forget | undefined {
  if (one && other) {
    return () => {
      one();
      other();
    };
  }
  one?.();
  other?.();
  return undefined;
}

const ignored: Readonly<Record<NoQuery, string | undefined>> = {
  malformed: undefined,
  unauthenticated: 'Discovery ignored a query that was not made with its key',
  open: 'Discovery ignored a query in the open form: this broker has a key',
  // Clients whose clock is wrong make them with each search, and are found by the challenge.
  stale: undefined,
  outdated:
    'Discovery ignored a query of an older version, which does not say when it was made: update that client',
};

/** Says what a keyed broker ignores, each thing at most once in a while, for anybody may send it. */
function createIgnoredLog(log: Logger): (why: NoQuery, source: string) => void {
  const last = new Map<NoQuery, { at: number; unsaid: number }>();
  return (why, source) => {
    const message = ignored[why];
    if (message === undefined) return;
    const now = performance.now();
    const { at = -Infinity, unsaid = 0 } = last.get(why) ?? {};
    if (now - at <= LOG_EVERY_MS) {
      last.set(why, { at, unsaid: unsaid + 1 });
      return;
    }
    last.set(why, { at: now, unsaid: 0 });
    log.warn(message, { source, ...(unsaid > 0 ? { unsaid } : {}) });
  };
}
