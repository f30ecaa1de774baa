import { runtime } from '#runtime';
import { isObject } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Identify, Seen } from '../discovery/responders.ts';

/** Time limit of the look at one address, in milliseconds. */
const IDENTIFY_MS = 2000;
/** Longest answer that is read, in bytes. */
const MAX_BYTES = 4096;

/**
 * Which running broker answers at an address. It presents a certificate, and says its ids on the same
 * connection (`POST /identity`, without a secret). Copies of one broker have the same certificate and
 * different ids. An older broker without `/identity` is known by its certificate alone.
 * @throws BrokerError `unreachable`; `unavailable` when it cannot answer now.
 */
export const identifyBroker: Identify = async ({ address, port }): Promise<Seen> => {
  const { certificate, status, body } = await runtime.exchange(
    { host: address, port },
    {
      path: '/identity',
      body: new Uint8Array(),
      maxBytes: MAX_BYTES,
      timeoutMs: IDENTIFY_MS,
      accept: () => undefined,
    },
  );
  const { fingerprint } = certificate;
  if (status === 429 || status === 503)
    throw new BrokerError('unavailable', `it does not say which broker it is now (HTTP status ${status})`);
  return { fingerprint, ...(status === 200 ? parse(body) : {}) };
};

function parse(body: Uint8Array): Partial<Seen> {
  let said: unknown;
  try {
    said = JSON.parse(Buffer.from(body).toString('utf8'));
  } catch {
    // An older broker, or another kind of server: its certificate is enough.
    return {};
  }
  const { id, instance, shared } = isObject(said) ? said : {};
  return {
    ...(typeof id === 'string' ? { id } : {}),
    ...(typeof instance === 'string' ? { instance } : {}),
    ...(shared === true ? { shared } : {}),
  };
}
