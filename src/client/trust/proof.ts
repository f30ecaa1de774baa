import { runtime } from '#runtime';
import { formatAddress, type HostPort } from '../../protocol/addresses/address.ts';
import { ANY_BROKER, type Challenge, type Reply } from '../../protocol/discovery/datagrams.ts';
import { discoveryKeyProblem } from '../../protocol/discovery/discovery-key.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { PeerCertificate, Pin } from '../../runtime/runtime.ts';
import { identityMismatch } from './identity.ts';
import { deadlineIn } from '../connection/retry.ts';
import type { FoundBroker } from '../discovery/responders.ts';

/**
 * How a client with a discovery key checks a broker (contract, section 6). It neither uses nor changes
 * known_brokers.
 */

/** Time limit of one address while others wait, in milliseconds. */
const MAX_EACH_MS = 3000;

/** A broker whose certificate a holder of the discovery key has vouched for. */
export interface ProvedBroker {
  readonly address: HostPort;
  readonly pin: Pin;
}

/** The outcome of one request. */
interface Asked {
  readonly certificate: PeerCertificate;
  readonly status: number;
  readonly said: Reply | Challenge | undefined;
}

/**
 * Makes a broker at a given address prove, by `POST /discover`, that it has the key and that its certificate
 * is its own. Nothing secret is sent, only queries.
 * @param fingerprint the only certificate to accept, if the user names one.
 * @throws BrokerError `identity_mismatch` when it does not.
 * @throws BrokerError `unreachable`; `unavailable` when it cannot answer now.
 */
export async function proveBroker(
  address: HostPort,
  key: string,
  fingerprint: string | undefined,
  timeoutMs: number,
): Promise<ProvedBroker> {
  const { keyedQuestion } = await import('../../protocol/discovery/keyed-forms.ts');
  // The connection limits the time, and binds the answer to the certificate. So a slow answer is as good as a
  // fast one.
  const question = keyedQuestion(ANY_BROKER, key, Infinity);
  const deadline = deadlineIn(timeoutMs);
  const ask = async (query: Uint8Array | undefined): Promise<Asked> => {
    const { certificate, status, body } = await runtime.exchange(address, {
      path: '/discover',
      body: query ?? new Uint8Array(),
      maxBytes: query?.length ?? 0,
      timeoutMs: deadline.left(),
      accept(presented) {
        if (fingerprint !== undefined && presented !== fingerprint)
          throw identityMismatch(address, fingerprint, presented, 'named');
      },
    });
    return { certificate, status, said: status === 200 ? question.read(body) : undefined };
  };
  let asked = await ask(question.queries(0)[0]);
  // The clocks may differ. Then the broker's challenge proves that the query is fresh.
  if (asked.status === 404) asked = await ask(question.queries(1).at(-1));
  if (asked.said?.form === 'challenge') asked = await ask(asked.said.query);
  const { certificate, status, said: reply } = asked;
  const place = formatAddress(address);
  if (status === 429 || status >= 500)
    throw new BrokerError(
      'unavailable',
      `The broker at ${place} cannot prove its identity now: HTTP status ${status}`,
    );
  if (reply?.form !== 'keyed') {
    const how = status === 200 ? 'its answer was not made with it' : `HTTP status ${status}`;
    throw new BrokerError(
      'identity_mismatch',
      `The broker at ${place} does not prove that it has the discovery key (${how}); nothing secret was sent to it. It has no key or another one (discover._access_key), or another host answers at that address`,
    );
  }
  if (reply.fingerprint !== certificate.fingerprint) {
    throw new BrokerError(
      'identity_mismatch',
      `Another host intercepts the connection to the broker at ${place}: it presented the identity sha256:${certificate.fingerprint}, but the holder of the discovery key has sha256:${reply.fingerprint}; nothing secret was sent`,
    );
  }
  return { address, pin: certificate };
}

/**
 * Tries the addresses that a broker's own reply names, until one presents its certificate. Nothing is sent.
 * @param timeoutMs for all addresses together.
 * @throws BrokerError `identity_mismatch` when only other certificates were seen, else `unreachable`.
 */
export async function reachBroker(
  { addresses, port, proof }: FoundBroker,
  timeoutMs: number,
): Promise<ProvedBroker> {
  const expected = proof?.fingerprint ?? '';
  const deadline = deadlineIn(timeoutMs);
  const failures: BrokerError[] = [];
  for (const [n, host] of addresses.entries()) {
    const address = { host, port };
    const waiting = addresses.length - n;
    // A dead address must not use up the time of those after it.
    const shareMs = Math.min(deadline.left() / waiting, waiting > 1 ? MAX_EACH_MS : Infinity);
    try {
      const presented = await runtime.peerCertificate(address, shareMs);
      if (presented.fingerprint === expected) return { address, pin: presented };
      failures.push(identityMismatch(address, expected, presented.fingerprint, 'proved'));
    } catch (error) {
      if (!(error instanceof BrokerError)) throw error;
      failures.push(error);
    }
  }
  const mismatch = failures.find(({ code }) => code === 'identity_mismatch');
  throw (
    mismatch ?? failures[0] ?? new BrokerError('unreachable', 'The broker that answered names no address')
  );
}

/** Throws `usage` for a key that is too weak; `what` names its source. */
export function checkDiscoveryKey(key: string, what: string): string {
  const problem = discoveryKeyProblem(key);
  if (problem !== undefined) throw new BrokerError('usage', `Invalid ${what}: ${problem}`);
  return key;
}
