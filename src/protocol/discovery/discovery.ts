import { BrokerError } from '../errors.ts';
import { MAX_NAME_BYTES, nameProblem } from '../registry/names.ts';

/**
 * What discovery datagrams say (contract, section 6). Open form, as the original product's: a query is the name and a
 * newline, the reply is `Key Exists` and a newline. Neither carries a port: the API's TCP port is the UDP port that
 * answered. The keyed form stands in `keyed-discovery.ts`, which only those load who have a key.
 */

/** The IPv6 group that brokers join on every link: link-local scope, transient. */
export const DISCOVERY_GROUP = 'ff12::4fdb';

/** The name that every broker answers to, our extension: its query is a lone newline. */
export const ANY_BROKER = '';

/** Longest open query: a name, its newline, and as much surrounding whitespace as any client ever sent. */
const MAX_QUERY_BYTES: number = MAX_NAME_BYTES + 16;
const REPLY_TEXT = 'Key Exists';
const reply: Uint8Array = new TextEncoder().encode(`${REPLY_TEXT}\n`);
// The whitespace of the original's byte strings. `String.trim` would also strip Unicode spaces, which names may hold.
const space = ' \t\n\v\f\r';

/** The version of the keyed form (`keyed-discovery.ts`). */
export const DISCOVERY_VERSION = 2;

/** One question of a client, in the form it speaks. */
export interface Question {
  /** The datagrams to send to each address; asked for anew at every repetition, of which `round` is the number, from 0. */
  queries(round: number): readonly Uint8Array[];
  /** What a datagram that came back says, or nothing when it is no answer to this question. */
  read(datagram: Uint8Array): Reply | Challenge | undefined;
}

/** What a reply says. */
export type Reply = OpenReply | KeyedReply;

/** The open form says no more than that the broker holds the name, and proves nothing. */
export interface OpenReply {
  readonly form: 'open';
}

/** A broker that has the key wants to know first whether a query is fresh. Of the broker it says nothing. */
export interface Challenge {
  readonly form: 'challenge';
  /** The datagram to send back to whoever sent it. */
  readonly query: Uint8Array;
}

/** What a broker that has the key says of itself. */
export interface KeyedReply {
  readonly form: 'keyed';
  /** Tells its registry from all others. */
  readonly id: string;
  /** Tells the running process from all others, copies of its files among them. Older brokers do not say. */
  readonly instance?: string;
  /** Whether other brokers serve the same registry, which is then found through any of them. */
  readonly shared?: boolean;
  /** TCP port of its API. */
  readonly port: number;
  /** IP addresses, without zones, at which it may be reached. */
  readonly addresses: readonly string[];
  /** SHA-256 of its TLS certificate, 64 lower-case hex digits. */
  readonly fingerprint: string;
}

/** A text that is the same for all replies of one running broker, and for no other's. */
export function brokerOf({
  id,
  instance,
  fingerprint,
}: Pick<KeyedReply, 'id' | 'instance' | 'fingerprint'>): string {
  return `${fingerprint} ${id} ${instance ?? ''}`;
}

/** The form in which a broker takes queries. */
export interface QueryForm {
  /** The query in a datagram, or why it is none that may be answered. */
  read(datagram: Uint8Array): Query | NoQuery;
}

/**
 * Why a datagram is not answered: it is no query, or for a reserved name; it has the form of a keyed query and was not
 * made with a key of this broker; it is an open query to a keyed broker. Made with the key, but too long ago, or ahead of
 * time; or by a version whose queries do not say when.
 */
export type NoQuery = 'malformed' | 'unauthenticated' | 'open' | 'stale' | 'outdated';

/** A query as a broker reads it. */
export interface Query {
  /** The name asked for; {@link ANY_BROKER} is answered by every broker. */
  readonly name: string;
  /** It asks for a challenge, and for no name. */
  readonly asksChallenge?: boolean;
  /** It is shorter than its reply, so that whoever forges where it came from sends more there than they spent. */
  readonly isAmplified?: boolean;
  /**
   * Takes the one answer that this query may have, where the form keeps to one: nothing when it has been taken, else a
   * function that gives it back.
   */
  claim?(): (() => void) | undefined;
  /** The datagram that says, to whoever asked from that address, that this broker holds the name; or nothing. */
  reply(source: string): Uint8Array | undefined;
}

/** The open form on the broker's side. */
export const openForm: QueryForm = {
  read(datagram) {
    const name = decodeQuery(datagram);
    if (name === undefined) return 'malformed';
    return { name, isAmplified: datagram.length < reply.length, reply: () => reply };
  },
};

/** An open question for `name`, or for any broker ({@link ANY_BROKER}). Throws `invalid_request` as {@link encodeQuery}. */
export function openQuestion(name: string): Question {
  const datagram = encodeQuery(name);
  return {
    queries: () => [datagram],
    read: (bytes) => (isReply(bytes) ? { form: 'open' } : undefined),
  };
}

/** Why no broker can be found by `name`, or nothing when one can: it must name an entry, without spaces around it. */
export function queryProblem(name: string): string | undefined {
  if (name === ANY_BROKER) return undefined;
  const problem = nameProblem(name);
  if (problem !== undefined) return problem;
  if (strip(name) !== name) return `name '${name}' has spaces around it, which discovery strips`;
  // Were it answered, one forged datagram would set two brokers answering each other's replies without end.
  if (name === REPLY_TEXT) return `name '${name}' is the text of discovery's own reply`;
  return undefined;
}

/**
 * The open query for `name`; {@link ANY_BROKER} asks any broker. Spaces before its newline make it as long as the reply, which
 * every broker strips, the original too: a reply that is no longer than its query is of no use to anybody who forges senders, and needs
 * no limit that a fleet runs into. Throws `invalid_request` when no broker would answer it.
 */
export function encodeQuery(name: string): Uint8Array {
  const problem = queryProblem(name);
  if (problem !== undefined) {
    throw new BrokerError('invalid_request', `Invalid name to discover: ${problem}`);
  }
  const query = new TextEncoder().encode(`${name}\n`);
  const missing = reply.length - query.length;
  return missing > 0 ? new TextEncoder().encode(`${name}${' '.repeat(missing)}\n`) : query;
}

/**
 * The name in an open query, {@link ANY_BROKER} for a lone newline. Nothing for what no broker answers: anything but a
 * name in valid UTF-8, a reserved name, another broker's reply.
 */
export function decodeQuery(datagram: Uint8Array): string | undefined {
  if (datagram.length === 0 || datagram.length > MAX_QUERY_BYTES) return undefined;
  const text = decodeText(datagram);
  if (text === undefined) return undefined;
  const name = strip(text);
  if (name === ANY_BROKER) return text.endsWith('\n') ? name : undefined;
  return queryProblem(name) === undefined ? name : undefined;
}

/** Whether a datagram is the open reply. */
export function isReply(datagram: Uint8Array): boolean {
  if (datagram.length > reply.length + 16) return false;
  const text = decodeText(datagram);
  return text !== undefined && strip(text) === REPLY_TEXT;
}

/** From both ends, and not by a pattern: one looks at spaces within a text again and again, a millisecond for one datagram. */
function strip(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && space.includes(text.charAt(from))) from++;
  while (to > from && space.includes(text.charAt(to - 1))) to--;
  return text.slice(from, to);
}

// A byte order mark is three bytes of the name, as the original took it.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const REPLACEMENT = '\uFFFD';

/** The text of a datagram in UTF-8, or nothing. An error thrown for each piece of garbage would cost more than its answer. */
function decodeText(datagram: Uint8Array): string | undefined {
  const text = decoder.decode(datagram);
  // What is not UTF-8 was replaced. The same character may have been sent, and is then the same bytes again.
  if (text.includes(REPLACEMENT) && !Buffer.from(text, 'utf8').equals(datagram)) return undefined;
  return text;
}
