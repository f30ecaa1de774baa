import { type HostPort, parseAddress } from '../protocol/address.ts';
import { isObject, type JsonObject, stringOf } from '../protocol/data.ts';
import type { ClientChange, ClientList } from './answers.ts';
import type { ExecuteOptions, Execution } from './execute.ts';
import { parseFingerprint, type PinSource, resolvePin } from './identity.ts';
import { knownBrokersFile, openKnownBrokers } from './known-brokers.ts';
import { checkDiscoveryKey, type ProvedBroker, proveBroker, reachBroker } from './proof.ts';
import { createRegistry, type Registry } from './registry.ts';
import { backoff, deadlineIn, isPassing } from './retry.ts';
import { type CallOptions, type CallParams, createRpc, type Rpc } from './rpc.ts';
import type { FoundBroker } from './sightings.ts';
import type { WatchScope } from './watch.ts';

export interface ConnectOptions {
  /** `HOST` or `HOST:PORT` (IPv6 in brackets); the port is 20443 unless given. */
  readonly broker: string | HostPort;
  /** Presented with every call; default: none. It leaves only after the broker's identity has been checked. */
  readonly accessKey?: string | undefined;
  /** Pins the broker's certificate: `sha256:HEX`, or the 64 hex digits. Default: trust on first use. */
  readonly fingerprint?: string | undefined;
  /**
   * The broker's discovery key, with which it must prove its identity; default: none. With `fingerprint`, both must hold.
   * `known_brokers` plays no part then.
   */
  readonly discoverKey?: string | undefined;
  /** Longest for a call, connecting included, in milliseconds; default 10,000. Waiting calls have their own limit. */
  readonly timeoutMs?: number;
  /** How long to go on trying where the broker cannot be reached at first contact, in milliseconds; default 0. */
  readonly retryForMs?: number | undefined;
  /** File that keeps the identities met; default: the user's `known_brokers`. */
  readonly knownBrokers?: string;
  /** Told of a first contact: one line. Default: nobody. */
  readonly notify?: (line: string) => void;
  /** Told of every answer as it came, envelope and all. Default: nobody. */
  readonly onAnswer?: (answer: JsonObject) => void;
}

export interface WatchClientOptions extends WatchScope {
  /** Begin after this revision; default: with the next change. */
  readonly after?: number;
  /** How long a broken connection is tried again, in milliseconds from the start; default: no limit. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A broker's registry and modules, from afar. Every method throws BrokerError with the codes of the error table. */
export interface BrokerClient extends Registry {
  /** The broker it talks to. */
  readonly address: HostPort;
  /** Sends `data` there and back. Gives what came back and the address the broker saw. */
  ping(data?: string): Promise<{ readonly data: string | JsonObject; readonly src: string }>;
  /** Changes as they happen; ends when `signal` is aborted. */
  watch(options?: WatchClientOptions): AsyncIterableIterator<ClientChange>;
  /** Calls any module's method and gives the JSON that it answers. */
  call(module: string, method: string, params?: CallParams, options?: CallOptions): Promise<JsonObject>;
  /**
   * Runs an extension's method on the broker and gives its output as it arrives.
   * @param method such as `ossec.AddAgent`: what stands before the last dot is the module.
   * @throws BrokerError `module_not_found`, `not_found`, `access_denied`; `extension_failed` with the extension's own
   *   message, `extension_timeout`; `timeout` after `options.timeoutMs`.
   */
  execute(method: string, params?: CallParams, options?: ExecuteOptions): Promise<Execution>;
  /** Closes its connections. */
  close(): void;
}

/**
 * A client of the broker at a given address, whose identity is settled here: checked against the fingerprint, or against
 * the one kept from first contact, which is what connects if there was none yet.
 *
 * @throws BrokerError `unreachable`, or with `retryForMs` `timeout`; `usage` (a malformed address, fingerprint or key);
 *   `identity_mismatch` when `discoverKey` is given and the broker does not prove that it has it.
 * @example
 * ```ts
 * import { connect } from 'bpbroker/client';
 * const client = await connect({ broker: '127.0.0.1:20443' });
 * await client.replace('web', { port: 8080 });
 * console.log((await client.get('web')).data); // { port: 8080 }
 * client.close();
 * ```
 */
export async function connect(options: ConnectOptions): Promise<BrokerClient> {
  const { broker, notify = () => undefined } = options;
  const address = typeof broker === 'string' ? parseAddress(broker, 'broker address') : broker;
  const fingerprint = options.fingerprint === undefined ? undefined : parseFingerprint(options.fingerprint);
  if (options.discoverKey !== undefined) {
    const key = checkDiscoveryKey(options.discoverKey, 'discovery key');
    return open(options, 'proved', (ms) => proveBroker(address, key, fingerprint, ms));
  }
  const knownBrokers = openKnownBrokers(options.knownBrokers ?? knownBrokersFile());
  const identity = { fingerprint, knownBrokers, notify };
  return open(options, fingerprint === undefined ? 'kept' : 'named', async (ms) => ({
    address,
    pin: await resolvePin(address, ms, identity),
  }));
}

/** A client of a broker that keyed discovery has found: it is reached at one of its addresses, with its certificate. */
export function connectProved(
  found: FoundBroker,
  options: Omit<ConnectOptions, 'broker' | 'fingerprint' | 'discoverKey' | 'knownBrokers'>,
): Promise<BrokerClient> {
  return open(options, 'proved', (ms) => reachBroker(found, ms));
}

/** @param settle finds out where the broker is and which certificate it must present, within so many milliseconds. */
async function open(
  { accessKey, timeoutMs = 10_000, retryForMs = 0, onAnswer }: Omit<ConnectOptions, 'broker'>,
  pinSource: PinSource,
  settle: (ms: number) => Promise<ProvedBroker>,
): Promise<BrokerClient> {
  const settled = await untilReached(retryForMs, (leftMs) => settle(Math.min(timeoutMs, leftMs)));
  return createClient(createRpc({ ...settled, pinSource, accessKey, timeoutMs, onAnswer }));
}

/** @param attempt is given the milliseconds that are left for it. */
async function untilReached<T>(ms: number, attempt: (leftMs: number) => Promise<T>): Promise<T> {
  if (ms === 0) return attempt(Infinity);
  const deadline = deadlineIn(ms);
  const retry = backoff();
  for (;;) {
    try {
      return await attempt(deadline.left());
    } catch (error) {
      if (!isPassing(error)) throw error;
      await retry.pause(deadline);
      if (deadline.left() === 0) throw deadline.error('the broker', error);
    }
  }
}

function createClient(rpc: Rpc): BrokerClient {
  const registry = createRegistry(rpc);
  return {
    ...registry,
    address: rpc.address,
    async ping(data = '') {
      const answer = await rpc.call('ping', 'Ping', { data });
      const { data: echoed, src } = answer;
      return {
        data: isObject(echoed) ? (stringOf(echoed) ?? echoed) : JSON.stringify(echoed),
        src: typeof src === 'string' ? src : '',
      };
    },
    // A generator, so that what only a watch needs is loaded when it is first asked for a change.
    async *watch({ after, timeoutMs, signal, ...scope } = {}) {
      const { watchChanges } = await import('./watch.ts');
      const options = { after, deadline: deadlineIn(timeoutMs), signal };
      const listNow = async (): Promise<ClientList> => {
        if (scope.name === undefined) return registry.list(scope.prefix);
        const { entries, revision } = await registry.list(scope.name);
        return { entries: entries.filter(({ name }) => name === scope.name), revision };
      };
      yield* watchChanges(rpc, scope, options, listNow);
    },
    call: (module, method, params = {}, options = {}) => rpc.call(module, method, params, options),
    async execute(method, params = {}, options = {}) {
      const { execute } = await import('./execute.ts');
      return execute(rpc, method, params, options);
    },
    close: () => rpc.close(),
  };
}
