import {
  ANY_BROKER,
  type QueryRefusal,
  openForm,
  type Query,
  type QueryForm,
} from '../../protocol/discovery/datagrams.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import type { UdpPeer } from '../../runtime/network/udp.ts';
import { createDatagramQueue } from './datagram-queue.ts';
import { openDiscoverySockets } from './discovery-sockets.ts';
import { createReplyLimit, type ReplyLimit } from '../../api/access/rate-limit.ts';

/** Answers discovery (contract, section 6) until it is closed. */
export interface Responder {
  /** The UDP port it answers on. */
  readonly port: number;
  /** The number of datagrams so far, by their outcome. */
  stats(): ResponderStats;
  close(): Promise<void>;
}

export interface ResponderStats {
  readonly received: number;
  readonly answered: number;
  /** Queries for names that this broker does not hold. */
  readonly notHeld: number;
  /** No query, or one for a reserved name. */
  readonly malformed: number;
  /** In the keyed form, and not made with a key of this broker. */
  readonly unauthenticated: number;
  /** In the open form, to a keyed broker. */
  readonly open: number;
  /** Made with the key, but too long ago or with a time in the future. */
  readonly stale: number;
  /** Made with the key, by a version whose queries have no time. */
  readonly outdated: number;
  /**
   * Repeated questions: the same one from the same socket, just answered, since clients send to several
   * addresses of one link; or a keyed query again, from any address.
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
  /** Whether the registry holds an entry; not called for names that no entry may have. */
  has(name: string): Promise<boolean>;
  readonly log: Logger;
  /**
   * Whether a datagram is the broker's question to itself, which tests its own socket: it is sent back
   * unchanged.
   */
  isOwn?(datagram: Uint8Array): boolean;
  /** The form of queries and answers; default: the open form. */
  readonly form?: QueryForm;
  /** The longest pause between two searches for new interfaces, in milliseconds; default 30,000. */
  readonly rescanMs?: number;
}

/**
 * The most replies per second: to one source, and to all whose queries are shorter than their replies
 * (security page).
 */
const limits = { perSource: 10, overall: 200 };
/**
 * How long a repeated question counts as answered, in milliseconds; clients repeat theirs after 100 ms at the
 * earliest.
 */
const REPEAT_MS = 50;
/**
 * The most questions that wait for the registry at the same time; more are dropped, as any datagram may be.
 */
const MAX_PENDING = 4096;
/** The most questions that are remembered at the same time. */
const MAX_REMEMBERED = 65_536;
/**
 * The datagrams handled in one turn of the event loop: about a millisecond, so that requests are served
 * meanwhile.
 */
const PER_TURN = 16;
/** The most bytes of datagrams that wait for their turn: as many as the system keeps. */
const MAX_WAITING_BYTES = 8 * 1024 * 1024;
/** The shortest pause between two lines of the log about the same thing, in milliseconds. */
const LOG_EVERY_MS = 10_000;

/**
 * Opens discovery's sockets and answers. A host without IPv6 is not an error.
 * @throws the system's error (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`) when it cannot listen.
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
    // This comes before the registry: a flood must not become a flood of lookups. A challenge costs no
    // lookup, and each query gets one.
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

/** Whether this broker holds a name; undefined when its registry could not say. It never rejects. */
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
 * Remembers questions for `ms` milliseconds. Returns undefined for a remembered one, else a function that
 * forgets it again. Only questions in progress or answered stay, and no more than 65,536: beyond that the
 * oldest is forgotten.
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

/**
 * A function that forgets both; undefined when one of them was remembered already, and then the other is
 * forgotten.
 */
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

const ignored: Readonly<Record<QueryRefusal, string | undefined>> = {
  malformed: undefined,
  unauthenticated: 'Discovery ignored a query that was not made with its key',
  open: 'Discovery ignored a query in the open form: this broker has a key',
  // Clients with a wrong clock make them in each search, and their challenges find the broker.
  stale: undefined,
  outdated:
    'Discovery ignored a query of an older version, which does not say when it was made: update that client',
};

/**
 * Logs which queries a keyed broker ignores, each kind at most once in a while, since anyone may send them.
 */
function createIgnoredLog(log: Logger): (why: QueryRefusal, source: string) => void {
  const last = new Map<QueryRefusal, { at: number; unsaid: number }>();
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
