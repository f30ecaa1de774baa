import { parseBrokerUrl } from '../protocol/addresses/broker-url.ts';
import { BrokerError } from '../protocol/errors.ts';
import type { ConnectOptions } from './connect-options.ts';
import type { Settle } from './connection/connection.ts';
import { openUrlConnection } from './connection/url-connection.ts';

/** Options that concern discovery or its proof, and why they cannot be combined with a URL. */
const foreign = {
  discoverKey:
    'a proxy presents a certificate of its own, which the holder of the key cannot vouch for; name the broker by HOST:PORT, or leave the key out',
  foundBy: 'a broker that is named by a URL is not searched for; leave one of them out',
  findAgain: 'a broker that is named by a URL is reached by its name again; leave one of them out',
} as const;

/**
 * How a client checks the identity of a broker that a URL names. Throws `usage` for options that cannot be
 * combined with a URL.
 */
export async function settleUrl(options: ConnectOptions & { readonly broker: string }): Promise<Settle> {
  const url = parseBrokerUrl(options.broker, 'broker URL');
  for (const [name, why] of Object.entries(foreign))
    if (options[name as keyof typeof foreign] !== undefined)
      throw new BrokerError('usage', `Option '${name}' has no meaning beside a URL: ${why}`);
  for (const name of ['ca', 'fingerprint'] as const)
    if (options.fetch !== undefined && options[name] !== undefined)
      throw new BrokerError(
        'usage',
        `Option '${name}' has no meaning beside 'fetch': no connection is made here whose certificate could be looked at`,
      );
  return async (ms) => {
    const connection = await openUrlConnection(url, options);
    try {
      await connection.probe(ms);
      return connection;
    } catch (error) {
      // A proxy keeps its connections open, and a client that waits for a broker makes many attempts.
      connection.close();
      throw error;
    }
  };
}
