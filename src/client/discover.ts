import { BrokerError } from '../protocol/errors.ts';
import { checkOptions, isText, limitRules, type OptionRules } from '../protocol/options.ts';
import { checkDiscoveryKey } from './trust/proof.ts';
import type { FoundBroker } from './discovery/responders.ts';

/** Options of {@link discover} (contract, section 6). */
export interface DiscoverOptions {
  /** Name of an entry that the broker holds. Default: any broker that answers. */
  readonly name?: string | undefined;
  /**
   * The discovery key, as `bpbroker keygen` makes it. Only brokers that have it are found and believed.
   * Default: the open form, which proves nothing.
   */
  readonly key?: string | undefined;
  /**
   * Time limit of the first answer, in milliseconds; default 3000. `Infinity`: until there is one, or
   * `signal` is aborted.
   */
  readonly timeoutMs?: number | undefined;
  /**
   * Addresses to ask besides the local network, for brokers that broadcasts do not reach: HOST or HOST:PORT.
   * Default: none.
   */
  readonly targets?: readonly string[] | undefined;
  /** Names of the only interfaces to use (`lo`: loopback, on any system). Default: every one that is up. */
  readonly interfaces?: readonly string[] | undefined;
  /** UDP port that brokers listen on; default 20443. */
  readonly port?: number | undefined;
  /** Accepts several brokers as an answer, and listens for them for 500 ms; default false. */
  readonly all?: boolean | undefined;
  /** Ends the search; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

const texts = (value: unknown): boolean => Array.isArray(value) && value.every(isText);

const rules: OptionRules<DiscoverOptions> = {
  name: { expected: 'the name of an entry', accepts: isText },
  key: { expected: 'a string', accepts: isText, secret: true },
  timeoutMs: limitRules.timeoutMs,
  targets: { expected: "a list of addresses, such as ['192.0.2.1']", accepts: texts },
  interfaces: { expected: "a list of names of interfaces, such as ['eth0']", accepts: texts },
  port: {
    expected: 'a port from 1 to 65535',
    accepts: (port) => Number.isInteger(port) && Number(port) > 0 && Number(port) <= 65_535,
  },
  all: { expected: 'true or false', accepts: (all) => typeof all === 'boolean' },
  signal: limitRules.signal,
};

/**
 * Finds the broker that holds a name, on the links of this host and at the targets given. `connect` accepts
 * the result as it is. A broker that was found with a key is reached with the certificate that it has proved.
 * For one that was found without a key (and without `all`), the identity is kept for the name too.
 *
 * @returns One broker, or several that share one registry; with `all`, every one that answered. The nearest
 * is first.
 * @throws BrokerError `unreachable` when none answered in time, `ambiguous_broker` when several did.
 * @throws BrokerError `usage` for an unknown interface, a malformed target or key, and an option that is
 * unknown or of the wrong kind.
 * @throws BrokerError `invalid_request` for an invalid name.
 * @example
 * ```ts
 * import { connect, discover } from 'bpbroker/client';
 * const [found] = await discover({ name: 'web' });
 * const client = await connect({ broker: found });
 * console.log((await client.get('web')).data); // { port: 8080 }
 * client.close();
 * ```
 */
export async function discover(options: DiscoverOptions = {}): Promise<[FoundBroker, ...FoundBroker[]]> {
  checkOptions<DiscoverOptions>('discover', options, rules, 'usage');
  const { name = '', key, timeoutMs, port, targets, interfaces, all, signal } = options;
  if (key !== undefined) checkDiscoveryKey(key, 'discovery key');
  const { discover: find, DISCOVER_TIMEOUT_MS } = await import('./discovery/finder.ts');
  const limit = timeoutMs ?? DISCOVER_TIMEOUT_MS;
  const found = await find({ name, key, timeoutMs: limit, port, targets, interfaces, all, signal });
  // Of several brokers, none is the one broker of that name.
  const isNamed = name !== '' && key === undefined && all !== true;
  const [first, ...others] = found.map((one) => (isNamed ? { ...one, foundBy: name } : one));
  if (!first) throw new BrokerError('unreachable', 'No broker answered');
  return [first, ...others];
}
