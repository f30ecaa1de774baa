import { type HostPort, parseAddress } from '../protocol/address.ts';
import { isObject, type JsonObject, stringOf } from '../protocol/data.ts';
import type { ClientChange, ClientList } from './answers.ts';
import { checkConnect } from './check-connect.ts';
import type { ExecuteOptions, Execution } from './execute.ts';
import { parseFingerprint, type PinSource, resolvePin } from './identity.ts';
import { knownBrokersFile, openKnownBrokers } from './known-brokers.ts';
import { checkDiscoveryKey, type ProvedBroker, proveBroker, reachBroker } from './proof.ts';
import { createRegistry, type Registry } from './registry.ts';
import type { FindAgain, Regain, RegainOptions } from './regain.ts';
import { deadlineIn, untilReached } from './retry.ts';
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
  /** Longest to make sure of the broker's identity, in milliseconds; default: `timeoutMs`. */
  readonly settleMs?: number | undefined;
  /** How long to go on trying where the broker cannot be reached at first contact, in milliseconds; default 0. */
  readonly retryForMs?: number | undefined;
  /**
   * Finds the brokers that answer on the network. A waiting call that has lost its broker looks for it there, by its identity,
   * besides at its address. Default: only at its address, whose host name is looked up anew.
   */
  readonly findAgain?: FindAgain | undefined;
  /**
   * The name that found the broker by open discovery. Its identity is kept for the name too: another broker that answers for
   * the name is `identity_mismatch`, wherever it is.
   */
  readonly foundBy?: string | undefined;
  /** File that keeps the identities met; default: the user's `known_brokers`. */
  readonly knownBrokers?: string;
  /** Told of a first contact, and of a broker that is lost, or found again, while a call waits: one line. Default: nobody. */
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
  /** Where the broker is that it talks to; another address once a waiting call has found it there. */
  readonly address: HostPort;
  /** Why the broker is out of reach, while a waiting call looks for it; nothing else. */
  outOfReach(): unknown;
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
  checkConnect<ConnectOptions>(options);
  const { broker, notify = () => undefined } = options;
  const address = typeof broker === 'string' ? parseAddress(broker, 'broker address') : broker;
  const fingerprint = options.fingerprint === undefined ? undefined : parseFingerprint(options.fingerprint);
  if (options.discoverKey !== undefined) {
    const key = checkDiscoveryKey(options.discoverKey, 'discovery key');
    return open(options, 'proved', (ms) => proveBroker(address, key, fingerprint, ms));
  }
  const knownBrokers = openKnownBrokers(options.knownBrokers ?? knownBrokersFile());
  const identity = { fingerprint, foundBy: options.foundBy, knownBrokers, notify };
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
  options: Omit<ConnectOptions, 'broker'>,
  pinSource: PinSource,
  settle: (ms: number) => Promise<ProvedBroker>,
): Promise<BrokerClient> {
  const { accessKey, timeoutMs = 10_000, retryForMs = 0, notify = () => undefined, onAnswer } = options;
  const { settleMs = timeoutMs, foundBy } = options;
  const settled = await untilReached(retryForMs, (leftMs) => settle(Math.min(settleMs, leftMs)));
  const rpc = createRpc({ ...settled, pinSource, accessKey, timeoutMs, onAnswer });
  return createClient(rpc, regainWhenLost({ rpc, findAgain: options.findAgain, foundBy, notify }));
}

/** What only a client needs that has lost its broker is loaded when it has. */
function regainWhenLost(options: RegainOptions): Regain {
  let regain: Regain | undefined;
  const load = async (): Promise<Regain> => (await import('./regain.ts')).createRegain(options);
  const lost = async (...args: Parameters<Regain>): Promise<unknown> => {
    regain ??= await load();
    return regain(...args);
  };
  return Object.assign(lost, { cause: () => regain?.cause() });
}

function createClient(rpc: Rpc, regain: Regain): BrokerClient {
  const registry = createRegistry(rpc, regain);
  return {
    ...registry,
    get address() {
      return rpc.address;
    },
    outOfReach: () => regain.cause(),
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
      const options = { after, deadline: deadlineIn(timeoutMs), signal, regain };
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
