import { createHmac, hash, hkdfSync, timingSafeEqual } from 'node:crypto';
import { isObject } from '../formats/data.ts';
import { ANY_BROKER, DISCOVERY_VERSION, type KeyedReply } from './datagrams.ts';
import { BrokerError } from '../errors.ts';
import { nameProblem } from '../registry/names.ts';

/**
 * The datagrams of the keyed form (docs/protocol.md): a line `BPD2 q MAC` or `BPD2 r MAC`, then JSON. A query
 * is padded with spaces to one of two lengths, and a reply is never longer than its query. The MAC covers
 * every byte after the line. The MAC of a reply covers the query's hash too.
 */

/**
 * The lengths of a query in bytes: one for nearly all names, and one that fits every name, however it is
 * escaped.
 */
export const QUERY_SIZES: readonly number[] = [512, 1280];

const NONCE_BYTES = 16;
const MAC_HEX = 64;
/** `BPD2 q `, the MAC, a newline. */
const LINE_BYTES: number = 7 + MAC_HEX + 1;
const SPACE = 0x20;
/** The bytes of SHA-256. */
const HASH_BYTES = 32;

/**
 * One discovery key as two keys, one for each direction: a datagram of one direction never passes for one of
 * the other.
 */
export interface DirectionKeys {
  readonly query: Uint8Array;
  readonly reply: Uint8Array;
}

/** HKDF-SHA-256 (RFC 5869) without salt over the key's text. Each derived key has 32 bytes. */
export function deriveKeys(key: string): DirectionKeys {
  const derive = (info: string): Uint8Array =>
    new Uint8Array(hkdfSync('sha256', Buffer.from(key, 'utf8'), new Uint8Array(), info, 32));
  return { query: derive('bpbroker discovery 2 query'), reply: derive('bpbroker discovery 2 reply') };
}

/** The content of a keyed query: what it asks, and how it shows that it is fresh. */
export type KeyedQuery = NameQuery | ChallengeQuery;

/** Asks whether a broker holds a name. It has a time or a challenge; one without either is not answered. */
export interface NameQuery {
  /** Name of an entry; {@link ANY_BROKER} asks any broker that has the key. */
  readonly name: string;
  /** 16 random bytes, 32 lower-case hex digits. */
  readonly nonce: string;
  /** The time of the query, in Unix milliseconds. */
  readonly time?: number;
  /** The challenge that the broker sent. */
  readonly challenge?: string;
}

/** Asks for a challenge, and for nothing else. */
export interface ChallengeQuery {
  readonly nonce: string;
  readonly challenge: '';
}

/** @throws BrokerError `invalid_request` for a name that no entry may have. */
export function encodeKeyedQuery(keys: DirectionKeys, query: KeyedQuery): Uint8Array {
  const name = 'name' in query ? query.name : ANY_BROKER;
  const problem = name === ANY_BROKER ? undefined : nameProblem(name);
  if (problem !== undefined) {
    throw new BrokerError('invalid_request', `Invalid name to discover: ${problem}`);
  }
  const { nonce, time, challenge } = { time: undefined, ...query };
  const asked = 'name' in query ? { name } : {};
  const json = JSON.stringify({ versions: [DISCOVERY_VERSION], nonce, time, challenge, ...asked });
  const size = QUERY_SIZES.find((bytes) => LINE_BYTES + Buffer.byteLength(json) <= bytes) ?? 0;
  const body = Buffer.alloc(size - LINE_BYTES, SPACE);
  body.write(json);
  return encodeFrame('q', hmac(keys.query, body), body);
}

/** A query that was made with one of a broker's keys. */
export type AuthenticQuery = KeyedQuery & {
  /** The keys that made it; they make its reply too. */
  readonly keys: DirectionKeys;
};

/**
 * Why a datagram is not answered. `unauthenticated`: it has the form of a query, but none of the keys made
 * it. `outdated`: nothing in it shows that it is fresh.
 */
export type KeyedQueryRefusal = 'malformed' | 'unauthenticated' | 'outdated';

/** The query in a datagram. Its content is not read before its MAC has matched one of the keys. */
export function decodeKeyedQuery(
  accepted: readonly DirectionKeys[],
  datagram: Uint8Array,
): AuthenticQuery | KeyedQueryRefusal {
  const body = bodies.get(datagram.length);
  const bytes = bufferOf(datagram);
  const mac = macIn('q', bytes);
  if (!body || mac === undefined) return 'malformed';
  bytes.copy(body, 0, LINE_BYTES);
  const keys = accepted.find(({ query }) => areSame(hmac(query, body), mac));
  if (!keys) return 'unauthenticated';
  const { versions, nonce, name, time, challenge } = parse(bytes);
  if (!Array.isArray(versions) || !versions.includes(DISCOVERY_VERSION) || !isNonce(nonce))
    return 'malformed';
  if (name === undefined && challenge === '') return { nonce, challenge, keys };
  if (typeof name !== 'string' || (name !== ANY_BROKER && nameProblem(name) !== undefined))
    return 'malformed';
  if (isChallenge(challenge)) return { name, nonce, challenge, keys };
  if (time === undefined && challenge === undefined) return 'outdated';
  return Number.isSafeInteger(time) ? { name, nonce, time: time as number, keys } : 'malformed';
}

/**
 * A broker's description of itself in a reply. Its addresses are in the order in which clients should try
 * them.
 */
export type Announcement = Omit<KeyedReply, 'form'>;

/** The reply to a query, no longer than the query: it has as many of the addresses as fit. */
export function encodeKeyedReply(
  keys: DirectionKeys,
  query: { readonly datagram: Uint8Array; readonly nonce: string },
  { id, instance, shared, port, addresses, fingerprint }: Announcement,
): Uint8Array {
  const encode = (some: readonly string[]): string =>
    JSON.stringify({
      version: DISCOVERY_VERSION,
      nonce: query.nonce,
      id,
      instance,
      shared: shared || undefined,
      port,
      fingerprint: `sha256:${fingerprint}`,
      addresses: some,
    });
  const fits = (json: string): boolean => LINE_BYTES + Buffer.byteLength(json) <= query.datagram.length;
  let json = encode(addresses);
  if (!fits(json)) {
    const fitting: string[] = [];
    for (const address of addresses) if (fits(encode([...fitting, address]))) fitting.push(address);
    json = encode(fitting);
  }
  return encodeReply(keys, query.datagram, json);
}

/** The reply to a query that asks for a challenge. */
export function encodeChallenge(
  keys: DirectionKeys,
  query: { readonly datagram: Uint8Array; readonly nonce: string },
  challenge: string,
): Uint8Array {
  const said = { version: DISCOVERY_VERSION, nonce: query.nonce, challenge };
  return encodeReply(keys, query.datagram, JSON.stringify(said));
}

/** The nonce in a reply. It proves nothing, but shows which query to check the reply against. */
export function nonceOfReply(datagram: Uint8Array): string | undefined {
  if (datagram.length > (QUERY_SIZES.at(-1) ?? 0)) return undefined;
  const bytes = bufferOf(datagram);
  const { nonce } = macIn('r', bytes) === undefined ? {} : parse(bytes);
  return isNonce(nonce) ? nonce : undefined;
}

/** A challenge that a broker has sent. */
export interface GivenChallenge {
  readonly form: 'challenge';
  readonly challenge: string;
}

/** The content of a reply, if the key made it for this very query and it is no longer than the query. */
export function decodeKeyedReply(
  keys: DirectionKeys,
  query: { readonly datagram: Uint8Array; readonly nonce: string },
  datagram: Uint8Array,
): KeyedReply | GivenChallenge | undefined {
  if (datagram.length > query.datagram.length) return undefined;
  const bytes = bufferOf(datagram);
  const mac = macIn('r', bytes);
  if (mac === undefined) return undefined;
  const signed = Buffer.concat([sha256(query.datagram), bytes.subarray(LINE_BYTES)]);
  if (!areSame(hmac(keys.reply, signed), mac)) return undefined;
  const { version, nonce, ...said } = parse(bytes);
  if (version !== DISCOVERY_VERSION || nonce !== query.nonce) return undefined;
  return isChallenge(said['challenge'])
    ? { form: 'challenge', challenge: said['challenge'] }
    : announcementIn(said);
}

function announcementIn(said: Record<string, unknown>): KeyedReply | undefined {
  const { id, instance, shared, port, fingerprint, addresses } = said;
  const hex = typeof fingerprint === 'string' ? /^sha256:([0-9a-f]{64})$/.exec(fingerprint)?.[1] : undefined;
  if (hex === undefined || typeof id !== 'string' || !isPort(port) || !isTexts(addresses)) return undefined;
  return {
    form: 'keyed',
    id,
    ...(typeof instance === 'string' ? { instance } : {}),
    ...(shared === true ? { shared } : {}),
    port,
    fingerprint: hex,
    addresses,
  };
}

/** A new nonce in the form that travels. */
export function formatNonce(bytes: Uint8Array): string {
  if (bytes.length !== NONCE_BYTES) throw new RangeError(`a nonce has ${NONCE_BYTES} bytes`);
  return Buffer.from(bytes).toString('hex');
}

/*
 * A broker reads thousands of queries a second. On Bun, each part of a buffer that is made a buffer, each text that becomes
 * one, and each digest as bytes is an ArrayBuffer. Collections of garbage stop the broker for all of these. So the
 * functions for queries and their replies copy bytes instead, and take digests as hexadecimal digits.
 */

type Direction = 'q' | 'r';

/** The bytes of a query after its first line, by the length of the query. They are used within one call alone. */
const bodies: ReadonlyMap<number, Buffer> = new Map(
  QUERY_SIZES.map((size) => [size, Buffer.alloc(size - LINE_BYTES)]),
);

function bufferOf(datagram: Uint8Array): Buffer {
  if (Buffer.isBuffer(datagram)) return datagram;
  return Buffer.from(datagram.buffer, datagram.byteOffset, datagram.byteLength);
}

function encodeFrame(direction: Direction, mac: string, body: Buffer): Uint8Array {
  const frame = Buffer.allocUnsafe(LINE_BYTES + body.length);
  frame.write(`BPD2 ${direction} ${mac}\n`, 'latin1');
  body.copy(frame, LINE_BYTES);
  return frame;
}

function encodeReply(keys: DirectionKeys, query: Uint8Array, json: string): Uint8Array {
  const signed = Buffer.allocUnsafe(HASH_BYTES + Buffer.byteLength(json));
  signed.set(sha256(query));
  signed.write(json, HASH_BYTES);
  const frame = Buffer.allocUnsafe(LINE_BYTES + signed.length - HASH_BYTES);
  frame.write(`BPD2 r ${hmac(keys.reply, signed)}\n`, 'latin1');
  signed.copy(frame, LINE_BYTES, HASH_BYTES);
  return frame;
}

const lines = { q: /^BPD2 q ([0-9a-f]{64})\n$/, r: /^BPD2 r ([0-9a-f]{64})\n$/ };

/** The MAC in the first line of a frame, in hexadecimal digits; undefined where it has no such line. */
function macIn(direction: Direction, bytes: Buffer): string | undefined {
  return lines[direction].exec(bytes.toString('latin1', 0, LINE_BYTES))?.[1];
}

const given = Buffer.alloc(HASH_BYTES);
const made = Buffer.alloc(HASH_BYTES);

/** Compares two digests in constant time. */
function areSame(one: string, other: string): boolean {
  given.write(one, 'hex');
  made.write(other, 'hex');
  return timingSafeEqual(given, made);
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/** The JSON of a frame; `{}` where it is none. */
function parse(bytes: Buffer): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(textOf(bytes));
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

/** @throws TypeError for bytes that are not UTF-8. */
function textOf(bytes: Buffer): string {
  // The padding is most of a query. As text it would only be garbage to collect.
  let end = bytes.length;
  while (end > LINE_BYTES && bytes[end - 1] === SPACE) end--;
  const text = bytes.toString('utf8', LINE_BYTES, end);
  // What is not UTF-8 has become this character, which may also have been sent.
  return text.includes('\uFFFD') ? utf8.decode(bytes.subarray(LINE_BYTES, end)) : text;
}

function hmac(key: Uint8Array, bytes: Buffer): string {
  return createHmac('sha256', key).update(bytes).digest('hex');
}

function sha256(bytes: Uint8Array): Uint8Array {
  return hash('sha256', bytes, 'buffer');
}

function isNonce(value: unknown): value is string {
  return typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);
}

/** The longer query must have room for it beside any name. */
function isChallenge(value: unknown): value is string {
  return typeof value === 'string' && /^[\w.-]{1,64}$/.test(value);
}

function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535;
}

function isTexts(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
