import { BrokerError } from '../errors.ts';
import { MAX_NAME_BYTES, nameProblem } from '../registry/names.ts';

/**
 * The datagrams of discovery (contract, section 6). Open form, as in the original product: a query is the
 * name and a newline, the reply is `Key Exists` and a newline. Neither carries a port: the API's TCP port is
 * the UDP port that answered. The keyed form is in `keyed-datagrams.ts`, which is loaded only where there is
 * a key.
 */

/** The IPv6 group that brokers join on every link: scope link-local, transient (RFC 4291). */
export const DISCOVERY_GROUP = 'ff12::4fdb';

/** The name that every broker answers to, an extension of the original: its query is a lone newline. */
export const ANY_BROKER = '';

/** The longest open query: a name, its newline, and as much white space around it as any client ever sent. */
const MAX_QUERY_BYTES: number = MAX_NAME_BYTES + 16;
const REPLY_TEXT = 'Key Exists';
const reply: Uint8Array = new TextEncoder().encode(`${REPLY_TEXT}\n`);
// The white space of the original's byte strings. `String.trim` would also strip Unicode spaces, which names
// may hold.
const space = ' \t\n\v\f\r';

/** The version of the keyed form (`keyed-datagrams.ts`). */
export const DISCOVERY_VERSION = 2;

/** One question of a client, in one of the two forms. */
export interface Question {
  /** The datagrams to send to each address. Called for each repetition; `round` is its number, from 0. */
  queries(round: number): readonly Uint8Array[];
  /** The content of a datagram that came back; undefined when it does not answer this question. */
  read(datagram: Uint8Array): Reply | Challenge | undefined;
}

/** The content of a reply. */
export type Reply = OpenReply | KeyedReply;

/** A reply of the open form. It says only that the broker holds the name, and proves nothing. */
export interface OpenReply {
  readonly form: 'open';
}

/** A broker that has the key asks whether a query is fresh. It says nothing about the broker. */
export interface Challenge {
  readonly form: 'challenge';
  /** The datagram to send back to the sender of the challenge. */
  readonly query: Uint8Array;
}

/** A reply of the keyed form: a broker that has the key describes itself. */
export interface KeyedReply {
  readonly form: 'keyed';
  /** Identifies the broker's registry. */
  readonly id: string;
  /** Identifies the running process, also among copies of its files. Older brokers leave it out. */
  readonly instance?: string;
  /** Whether other brokers serve the same registry, so that a client can use any of them. */
  readonly shared?: boolean;
  /** The TCP port of its API. */
  readonly port: number;
  /** The IP addresses, without zones, at which it may be reached. */
  readonly addresses: readonly string[];
  /** The SHA-256 of its TLS certificate, 64 lower-case hex digits. */
  readonly fingerprint: string;
}

/** A text that all replies of one running broker share, and that no other broker's replies have. */
export function brokerOf({
  id,
  instance,
  fingerprint,
}: Pick<KeyedReply, 'id' | 'instance' | 'fingerprint'>): string {
  return `${fingerprint} ${id} ${instance ?? ''}`;
}

/** The form in which a broker takes queries. */
export interface QueryForm {
  /** The query in a datagram, or the reason why it is not answered. */
  read(datagram: Uint8Array): Query | QueryRefusal;
}

/**
 * Why a datagram is not answered:
 * - `malformed`: it is no query, or one for a reserved name.
 * - `unauthenticated`: it has the form of a keyed query, but no key of this broker made it.
 * - `open`: it is an open query to a keyed broker.
 * - `stale`: the key made it, but too long ago, or its time is in the future.
 * - `outdated`: its version's queries do not say when they were made.
 */
export type QueryRefusal = 'malformed' | 'unauthenticated' | 'open' | 'stale' | 'outdated';

/** A query as a broker reads it. */
export interface Query {
  /** The name that is asked for; every broker answers {@link ANY_BROKER}. */
  readonly name: string;
  /** Whether it asks for a challenge instead of a name. */
  readonly asksChallenge?: boolean;
  /**
   * Whether it is shorter than its reply. A sender with a forged address could then cause more traffic than
   * it sends.
   */
  readonly isAmplified?: boolean;
  /**
   * Takes the one answer that this query may have, in a form that allows only one. Returns undefined when it
   * has been taken already, else a function that undoes this.
   */
  claim?(): (() => void) | undefined;
  /**
   * The datagram that tells the sender at `source` that this broker holds the name; undefined for no answer.
   */
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

/**
 * An open question for `name`, or for any broker ({@link ANY_BROKER}).
 * @throws BrokerError `invalid_request` as {@link encodeQuery}.
 */
export function openQuestion(name: string): Question {
  const datagram = encodeQuery(name);
  return {
    queries: () => [datagram],
    read: (bytes) => (isReply(bytes) ? { form: 'open' } : undefined),
  };
}

/**
 * Says why no broker can be found by `name`; undefined when one can. It must name an entry, without spaces
 * around it.
 */
export function queryProblem(name: string): string | undefined {
  if (name === ANY_BROKER) return undefined;
  const problem = nameProblem(name);
  if (problem !== undefined) return problem;
  if (strip(name) !== name) return `name '${name}' has spaces around it, which discovery strips`;
  // An answer to it would let one forged datagram make two brokers answer each other's replies forever.
  if (name === REPLY_TEXT) return `name '${name}' is the text of discovery's own reply`;
  return undefined;
}

/**
 * The open query for `name`; {@link ANY_BROKER} asks any broker. Spaces before its newline make it as long as
 * the reply. Every broker strips them, the original too. A reply that is no longer than its query is useless
 * for forged senders, so it needs no limit that a fleet could reach.
 * @throws BrokerError `invalid_request` when no broker would answer it.
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
 * The name in an open query; {@link ANY_BROKER} for a lone newline. Undefined for a datagram that no broker
 * answers: anything but a name in valid UTF-8, a reserved name, another broker's reply.
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

/**
 * Works from both ends. A pattern would look at spaces within a text again and again: a millisecond for one
 * datagram.
 */
function strip(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && space.includes(text.charAt(from))) from++;
  while (to > from && space.includes(text.charAt(to - 1))) to--;
  return text.slice(from, to);
}

// A byte order mark is three bytes of the name, as in the original.
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
const REPLACEMENT = '\uFFFD';

/**
 * The text of a datagram in UTF-8, or undefined. To throw an error for each piece of garbage would cost more
 * than to answer it.
 */
function decodeText(datagram: Uint8Array): string | undefined {
  const text = decoder.decode(datagram);
  // The decoder replaces bytes that are not UTF-8. If that character itself was sent, the bytes are still the
  // same.
  if (text.includes(REPLACEMENT) && !Buffer.from(text, 'utf8').equals(datagram)) return undefined;
  return text;
}
