import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { brokerOf, type KeyedReply } from '../../protocol/discovery/datagrams.ts';
import { messageOf } from '../../protocol/errors.ts';
import { isLinkLocal, isLoopback, withoutZone } from '../../runtime/network/interfaces.ts';
import type { RespondingBroker } from './search.ts';

/**
 * Finds out which broker a responder belongs to. Rejects, or returns nothing, when that address cannot be
 * reached. A string is the identity's fingerprint alone.
 */
export type Identify = (
  responder: RespondingBroker,
  signal: AbortSignal,
) => Promise<Seen | string | undefined>;

/** The running broker that answers at an address. */
export interface Seen {
  /** SHA-256 of the certificate that it presents, 64 lower-case hex digits. */
  readonly fingerprint: string;
  /** Id of its registry; older brokers do not send one. */
  readonly id?: string;
  /** Id of the running process; older brokers do not send one. */
  readonly instance?: string;
  /** Whether other brokers serve the same registry. */
  readonly shared?: boolean;
}

/** A broker that answered. */
export interface FoundBroker {
  /** Its best address: IPv4 first, then IPv6 link-local, then loopback; among equals, the first to answer. */
  readonly host: string;
  /** TCP port of its API. */
  readonly port: number;
  /**
   * All addresses that it answered from, the best first. In the keyed form, also the others that its reply
   * names.
   */
  readonly addresses: readonly string[];
  /** Which broker it is, if known. In the open form it is asked only when several addresses answered. */
  readonly seen?: Seen;
  /** What a keyed reply proves. */
  readonly proof?: Proof;
  /**
   * The name that it answered for in the open form: its identity is kept for that name too. Set by `discover`
   * of the library.
   */
  readonly foundBy?: string;
}

/** What the holder of the key said about a broker. */
export interface Proof {
  /** Id of its registry. */
  readonly id: string;
  /** SHA-256 of the one certificate that it may present, 64 lower-case hex digits. */
  readonly fingerprint: string;
}

export interface Identified {
  /** One for each broker, the best first. */
  readonly brokers: readonly FoundBroker[];
  /** Why responders were left out, by address. */
  readonly failures: readonly string[];
}

/** Time limit of the identification of one address, in milliseconds. */
const IDENTIFY_MS = 5000;

/** Orders responders: first the addresses that other hosts can use, then by the time of the answer. */
export function byRank(a: RespondingBroker, b: RespondingBroker): number {
  return rank(a.address) - rank(b.address) || a.at - b.at;
}

function rank(address: string): number {
  if (isLoopback(address)) return 3;
  if (isLinkLocal(address)) return 2;
  return address.includes(':') ? 1 : 0;
}

/**
 * The broker behind responders that all belong to it. For a keyed one, only the addresses that its replies
 * name.
 */
export function foundBroker(
  responders: readonly [RespondingBroker, ...RespondingBroker[]],
  identity?: Seen,
): FoundBroker {
  const [best] = responders;
  const { address: host, port, reply } = best;
  const seen = identity === undefined ? {} : { seen: identity };
  if (reply.form === 'open')
    return { host, port, addresses: responders.map(({ address }) => address), ...seen };
  const addresses = [
    ...new Set([...responders.filter(isOwn).map(({ address }) => address), ...named(responders)]),
  ];
  const { id, fingerprint } = reply;
  return { host: addresses[0] ?? '', port, addresses, ...seen, proof: { id, fingerprint } };
}

/**
 * Whether a keyed reply came from an address that it names. Other sources are not trusted, because anybody
 * can relay a reply.
 */
function isOwn({ address, reply }: RespondingBroker): boolean {
  return reply.form === 'keyed' && reply.addresses.includes(withoutZone(address));
}

/**
 * The addresses that keyed replies name. A link-local one is completed with the link on which the reply
 * arrived.
 */
function named(responders: readonly RespondingBroker[]): string[] {
  return responders.flatMap(({ address: source, reply }) => {
    if (reply.form === 'open') return [];
    const zone = source.split('%')[1];
    return reply.addresses.flatMap((address) => {
      if (isIP(address) === 0 || address.includes('%')) return [];
      if (!isLinkLocal(address)) return [address];
      return zone === undefined ? [] : [`${address}%${zone}`];
    });
  });
}

/**
 * Groups ranked responders by broker. Keyed replies name their broker; for others `identify` is asked. A
 * responder that cannot be identified is left out, with the reason.
 */
export async function identifyBrokers(
  responders: readonly RespondingBroker[],
  identify: Identify,
  signal?: AbortSignal,
): Promise<Identified> {
  const failures: string[] = [];
  const identities = await Promise.all(
    responders.map(async (responder): Promise<Seen | undefined> => {
      if (responder.reply.form === 'keyed') return seenIn(responder.reply);
      try {
        const identity = await withinTime(identify, responder, signal);
        if (identity !== undefined)
          return typeof identity === 'string' ? { fingerprint: identity } : identity;
        failures.push(`${responder.address}: no identity`);
      } catch (error) {
        failures.push(`${responder.address}: ${messageOf(error)}`);
      }
      return undefined;
    }),
  );
  signal?.throwIfAborted();
  const groups = new Map<
    string,
    { readonly seen: Seen; readonly of: [RespondingBroker, ...RespondingBroker[]] }
  >();
  for (const [index, responder] of responders.entries()) {
    const seen = identities[index];
    if (seen === undefined) continue;
    const broker = brokerOf({ id: '', ...seen });
    const group = groups.get(broker);
    if (group) group.of.push(responder);
    else groups.set(broker, { seen, of: [responder] });
  }
  const brokers = [...groups.values()].map(({ seen, of }) => foundBroker(of, seen));
  const reachable = brokers.filter(({ addresses }) => addresses.length > 0);
  if (reachable.length < brokers.length) failures.push('a reply names no address that can be used here');
  return { brokers: reachable, failures };
}

function seenIn({ id, instance, shared, fingerprint }: KeyedReply): Seen {
  return {
    fingerprint,
    id,
    ...(instance === undefined ? {} : { instance }),
    ...(shared === undefined ? {} : { shared }),
  };
}

/**
 * Whether brokers are rivals: different running processes that may hold different entries. Brokers that say
 * that they share one registry are not rivals.
 */
export function areRivals(brokers: readonly FoundBroker[]): boolean {
  const registries = brokers.map(({ seen }) => (seen?.shared === true ? seen.id : undefined));
  return brokers.length > 1 && (registries.includes(undefined) || new Set(registries).size > 1);
}

/** Ends a slow identification, even when `identify` ignores its signal. */
async function withinTime(
  identify: Identify,
  responder: RespondingBroker,
  signal: AbortSignal | undefined,
): Promise<Seen | string | undefined> {
  const done = new AbortController();
  const ended = AbortSignal.any([done.signal, ...(signal ? [signal] : [])]);
  const late = sleep(IDENTIFY_MS, undefined, { signal: ended }).then(() => {
    throw new Error(`no answer within ${IDENTIFY_MS / 1000} s`);
  });
  try {
    return await Promise.race([identify(responder, ended), late]);
  } finally {
    done.abort();
    late.catch(() => undefined);
  }
}
