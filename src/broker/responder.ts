import { ANY_BROKER, openForm, type Query, type QueryForm } from '../protocol/discovery.ts';
import { messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/logger.ts';
import type { UdpPeer } from '../runtime/udp.ts';
import { openEars } from './ears.ts';
import { createReplyLimit } from './rate-limit.ts';

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
  /** The same question from the same socket, just answered: clients send to several addresses of one link. */
  readonly repeated: number;
  /** Left unanswered because of the rate limits. */
  readonly limited: number;
  /** Left unanswered because the registry could not be asked. */
  readonly failed: number;
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

/** Replies per second (security page). */
const limits = { perSource: 10, overall: 200 };
/** How long a repeated question counts as answered; clients repeat theirs after 100 ms at the earliest. */
const REPEAT_MS = 50;
/** Questions that may await the registry at the same time; more are dropped, as any datagram may be. */
const MAX_PENDING = 256;
/** Least time between two lines of the log about a registry that fails. */
const LOG_EVERY_MS = 10_000;

/**
 * Opens discovery's sockets and answers. Rejects with the system's error (`EADDRINUSE`, `EACCES`, `EADDRNOTAVAIL`) when
 * it cannot listen; that there is no IPv6 is no error.
 */
export async function startResponder(options: ResponderOptions): Promise<Responder> {
  const { listenIp, port, log, form = openForm, rescanMs = 30_000 } = options;
  const stats = { received: 0, answered: 0, notHeld: 0, malformed: 0, repeated: 0, limited: 0, failed: 0 };
  const limit = createReplyLimit(limits);
  const isRepeated = createRepeats();
  const holds = createLookup(options);
  let pending = 0;

  type Reply = (datagram: Uint8Array) => Promise<void>;
  const answer = async (query: Query, from: UdpPeer, reply: Reply, forget: () => void): Promise<void> => {
    pending += 1;
    const held = await holds(query.name);
    pending -= 1;
    if (held === undefined) stats.failed += 1;
    else if (!held) stats.notHeld += 1;
    else if (!limit.take(from.address, performance.now())) stats.limited += 1;
    else {
      stats.answered += 1;
      await reply(query.reply());
      return;
    }
    forget();
  };

  const onDatagram = (datagram: Uint8Array, from: UdpPeer, reply: Reply): void => {
    if (options.isOwn?.(datagram)) {
      void reply(datagram);
      return;
    }
    stats.received += 1;
    const query = from.port === 0 ? undefined : form.read(datagram);
    if (!query) {
      stats.malformed += 1;
      return;
    }
    const now = performance.now();
    // Before the registry is asked: a flood must not become a flood of lookups.
    if (pending >= MAX_PENDING || !limit.allows(from.address, now)) {
      stats.limited += 1;
      return;
    }
    const forget = isRepeated(`${from.address} ${from.port} ${query.name}`, now);
    if (!forget) stats.repeated += 1;
    else void answer(query, from, reply, forget);
  };

  const ears = await openEars({ listenIp, port, rescanMs, log, onDatagram });
  return { port: ears.port, stats: () => ({ ...stats }), close: () => ears.close() };
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

/**
 * Keeps questions in mind for a moment. Gives nothing for one that it has in mind already, else a function that forgets
 * it again. Only questions under way or answered stay, and both are bounded, so this is too.
 */
function createRepeats(): (question: string, now: number) => (() => void) | undefined {
  const seen = new Map<string, number>();
  return (question, now) => {
    for (const [old, at] of seen) {
      if (now - at <= REPEAT_MS) break;
      seen.delete(old);
    }
    if (seen.has(question)) return undefined;
    seen.set(question, now);
    return () => seen.delete(question);
  };
}
