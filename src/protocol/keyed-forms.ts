import { randomBytes } from 'node:crypto';
import { brokerOf, decodeQuery, type KeyedReply, type Question, type QueryForm } from './discovery.ts';
import {
  type Announcement,
  decodeKeyedQuery,
  decodeKeyedReply,
  deriveKeys,
  encodeKeyedQuery,
  encodeKeyedReply,
  formatNonce,
  nonceOfReply,
} from './keyed-discovery.ts';

/** How long a reply to a query is taken, in milliseconds from when the query was made. */
export const OUTSTANDING_MS = 2000;

/** A query that may still be answered. */
interface Outstanding {
  readonly datagram: Uint8Array;
  readonly nonce: string;
  readonly madeAt: number;
  /** The brokers that have answered it: each may once. */
  readonly answeredBy: Set<string>;
}

/**
 * A keyed question for `name`, or for any broker that has the key. Each query has a nonce of its own, takes replies for
 * two seconds (`outstandingMs`), and one of each broker. Throws `invalid_request` for a name that no entry may have.
 */
export function keyedQuestion(name: string, key: string, outstandingMs: number = OUTSTANDING_MS): Question {
  const keys = deriveKeys(key);
  const outstanding = new Map<string, Outstanding>();
  const forget = (now: number): void => {
    for (const [nonce, { madeAt }] of outstanding) {
      if (now - madeAt <= outstandingMs) return;
      outstanding.delete(nonce);
    }
  };
  const make = (): Outstanding => {
    const nonce = formatNonce(randomBytes(16));
    const datagram = encodeKeyedQuery(keys, { name, nonce });
    return { datagram, nonce, madeAt: performance.now(), answeredBy: new Set() };
  };
  // A name that cannot be asked for is said at once, and not at the first repetition.
  make();
  return {
    query() {
      const made = make();
      forget(made.madeAt);
      outstanding.set(made.nonce, made);
      return made.datagram;
    },
    read(datagram): KeyedReply | undefined {
      forget(performance.now());
      const query = outstanding.get(nonceOfReply(datagram) ?? '');
      const reply = query && decodeKeyedReply(keys, query, datagram);
      if (!reply || query.answeredBy.has(brokerOf(reply))) return undefined;
      query.answeredBy.add(brokerOf(reply));
      return reply;
    },
  };
}

/**
 * The keyed form on the broker's side: queries made with any of `keys` are taken, and each is answered with the key that
 * it was made with.
 * @param announce what to say to whoever asks from this address; nothing while the broker cannot be reached over TLS.
 */
export function keyedForm(
  keys: readonly string[],
  announce: (source: string) => Announcement | undefined,
): QueryForm {
  const accepted = keys.map(deriveKeys);
  return {
    read(datagram) {
      if (!startsAsKeyed(datagram)) return decodeQuery(datagram) === undefined ? 'malformed' : 'open';
      const query = decodeKeyedQuery(accepted, datagram);
      if (typeof query === 'string') return query;
      return {
        name: query.name,
        nonce: query.nonce,
        reply(source) {
          const said = announce(source);
          return said && encodeKeyedReply(query.keys, { datagram, nonce: query.nonce }, said);
        },
      };
    },
  };
}

function startsAsKeyed(datagram: Uint8Array): boolean {
  return Buffer.from(datagram.subarray(0, 5)).toString('latin1') === 'BPD2 ';
}
