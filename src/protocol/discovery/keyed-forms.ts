import { randomBytes } from 'node:crypto';
import {
  ANY_BROKER,
  brokerOf,
  type Challenge,
  decodeQuery,
  type KeyedReply,
  type Question,
  type QueryForm,
} from './datagrams.ts';
import { createReplayCheck, EARLIEST_TIME, type ReplayCheck } from './replay-check.ts';
import {
  type Announcement,
  decodeKeyedQuery,
  decodeKeyedReply,
  deriveKeys,
  encodeChallenge,
  encodeKeyedQuery,
  encodeKeyedReply,
  formatNonce,
  type KeyedQuery,
  nonceOfReply,
} from './keyed-datagrams.ts';

/** How long replies to a query are accepted, in milliseconds from when the query was made. */
const OUTSTANDING_MS = 2000;

/** The most replies to one query that are accepted. Only brokers that have the key can make one. */
const MAX_ANSWERS = 1024;

/** A query that may still be answered. */
interface Outstanding {
  readonly datagram: Uint8Array;
  readonly nonce: string;
  readonly madeAt: number;
  /** The brokers that have answered it, once each, and the challenges that came for it. */
  readonly answeredBy: Set<string>;
}

/**
 * A keyed question for `name`, or for any broker that has the key. Each query has a new nonce. It accepts
 * replies for two seconds (`outstandingMs`), one from each broker.
 *
 * Its queries carry the time, which shows a broker that they are fresh. Every other round asks for a
 * challenge too, for brokers whose clock differs. A host whose clock has not been set asks for challenges
 * only.
 * @param wall returns the time, in Unix milliseconds.
 * @throws BrokerError `invalid_request` for a name that no entry may have.
 */
export function keyedQuestion(
  name: string,
  key: string,
  outstandingMs: number = OUTSTANDING_MS,
  wall: () => number = () => Date.now(),
): Question {
  const keys = deriveKeys(key);
  const outstanding = new Map<string, Outstanding>();
  const forget = (now: number): void => {
    for (const [nonce, { madeAt }] of outstanding) {
      if (now - madeAt <= outstandingMs) return;
      outstanding.delete(nonce);
    }
  };
  const make = (query: { name: string; time: number } | { name?: string; challenge: string }): Uint8Array => {
    const nonce = formatNonce(randomBytes(16));
    const datagram = encodeKeyedQuery(keys, { ...query, nonce } as KeyedQuery);
    const madeAt = performance.now();
    forget(madeAt);
    outstanding.set(nonce, { datagram, nonce, madeAt, answeredBy: new Set() });
    return datagram;
  };
  // A wrong name fails here at once, and not at the first repetition.
  encodeKeyedQuery(keys, { name, nonce: '', time: 0 });
  return {
    queries(round) {
      const time = wall();
      const dated = time < EARLIEST_TIME ? [] : [make({ name, time })];
      const asksChallenge = dated.length === 0 || round % 2 === 1;
      return asksChallenge ? [...dated, make({ challenge: '' })] : dated;
    },
    read(datagram): KeyedReply | Challenge | undefined {
      forget(performance.now());
      const query = outstanding.get(nonceOfReply(datagram) ?? '');
      const reply = query && decodeKeyedReply(keys, query, datagram);
      if (!reply) return undefined;
      const from = reply.form === 'challenge' ? reply.challenge : brokerOf(reply);
      if (query.answeredBy.has(from) || query.answeredBy.size >= MAX_ANSWERS) return undefined;
      query.answeredBy.add(from);
      if (reply.form === 'keyed') return reply;
      return { form: 'challenge', query: make({ name, challenge: reply.challenge }) };
    },
  };
}

/**
 * The keyed form on the broker's side. It accepts queries made with any of `keys`, and answers each with the
 * key that made it.
 * @param announce the description for a client at this address; undefined while the broker cannot be reached
 * over TLS.
 * @param freshness decides which queries may still be answered.
 */
export function keyedForm(
  keys: readonly string[],
  announce: (source: string) => Announcement | undefined,
  freshness: ReplayCheck = createReplayCheck(formatNonce(randomBytes(16))),
): QueryForm {
  const accepted = keys.map(deriveKeys);
  return {
    read(datagram) {
      if (!startsAsKeyed(datagram)) return decodeQuery(datagram) === undefined ? 'malformed' : 'open';
      const query = decodeKeyedQuery(accepted, datagram);
      if (typeof query === 'string') return query;
      const { keys: madeWith, nonce } = query;
      const claim = (): (() => void) | undefined => freshness.claim(nonce);
      const sent = { datagram, nonce };
      if (!('name' in query)) {
        const reply = (): Uint8Array => encodeChallenge(madeWith, sent, freshness.challenge());
        return { name: ANY_BROKER, asksChallenge: true, claim, reply };
      }
      if (!freshness.isFresh(query)) return 'stale';
      return {
        name: query.name,
        claim,
        reply(source) {
          const said = announce(source);
          return said && encodeKeyedReply(madeWith, sent, said);
        },
      };
    },
  };
}

/** `BPD2 `. */
const KEYED_START = [0x42, 0x50, 0x44, 0x32, 0x20];

function startsAsKeyed(datagram: Uint8Array): boolean {
  return KEYED_START.every((byte, at) => datagram[at] === byte);
}
