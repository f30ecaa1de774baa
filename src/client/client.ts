/// <reference lib="esnext.disposable" preserve="true" />
import { type HostPort, isUrl, parseAddress } from '../protocol/addresses/address.ts';
import { isObject, type Json, type JsonObject, stringOf } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import { checkMethod } from '../protocol/options.ts';
import type { ClientChange, ClientList, EntryShape } from './registry/answers.ts';
import { checkConnect } from './check-connect.ts';
import type { ConnectOptions } from './connect-options.ts';
import type { ExecuteOptions, Execution } from './execute.ts';
import type { Lock, LockOptions } from './registry/lock.ts';
import { parseFingerprint } from '../protocol/formats/fingerprint.ts';
import { identityMismatch, type PinSource, resolvePin } from './trust/identity.ts';
import { knownBrokersFile, openKnownBrokers } from './trust/known-brokers.ts';
import { openPinnedConnection, type Settle } from './connection/connection.ts';
import { checkDiscoveryKey, type ProvedBroker, proveBroker, reachBroker } from './trust/proof.ts';
import { poll } from './registry/poll.ts';
import { createRegistry, PROXIED_POLL_MS, type Registry } from './registry/registry.ts';
import type { Reconnect, ReconnectOptions } from './connection/reconnect.ts';
import { deadlineIn, untilReached } from './connection/retry.ts';
import { type CallOptions, type CallParams, createRpc, type Rpc } from './connection/rpc.ts';
import type { FoundBroker } from './discovery/responders.ts';
import type { WatchScope } from './registry/watch.ts';

export type { ConnectOptions } from './connect-options.ts';

/** Options of `watch`; without `name` and `prefix`, it reports every entry. */
export interface WatchClientOptions extends WatchScope {
  /** Begins after this revision; default: with the next change. */
  readonly after?: number | undefined;
  /**
   * Sends the existing entries first, each as a `put`, in the order of their last writes; default false. The
   * changes follow, none missing and none twice. It cannot be combined with `after`.
   */
  readonly initial?: boolean | undefined;
  /** Ends after so many changes; default: no limit. Those of `initial` count, a `reset` does not. */
  readonly count?: number | undefined;
  /** How long a broken connection is tried again, in milliseconds from the start; default: no limit. */
  readonly timeoutMs?: number | undefined;
  /** Ends the watch. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * A broker's registry and modules, over the network. Every method throws BrokerError with the codes of the
 * error table.
 */
export interface BrokerClient extends Registry {
  /** Address of the broker. It changes when a waiting call has found the broker at another address. */
  readonly address: HostPort;
  /** Why the broker is out of reach, while a waiting call looks for it; else `undefined`. */
  outOfReach(): unknown;
  /**
   * Sends `data` to the broker and back. Returns the data that came back, and the address of this client as
   * the broker saw it. With `wait`, a broker that is out of reach is looked for until it answers, and
   * `timeoutMs` limits the whole wait; default false.
   * @throws BrokerError `timeout` when a wait took too long.
   */
  ping(
    data?: string,
    options?: CallOptions & { readonly wait?: boolean | undefined },
  ): Promise<{ readonly data: string | JsonObject; readonly src: string }>;
  /** Changes as they happen. It ends when `signal` is aborted. */
  watch<T extends EntryShape = string | JsonObject>(
    options?: WatchClientOptions,
  ): AsyncIterableIterator<ClientChange<T>>;
  /**
   * Calls a method of any module and returns the JSON of its answer: an object, a list, a string, a number or
   * `null`. `call<T>` types the answer; nothing checks that type.
   */
  call<T = Json>(module: string, method: string, params?: CallParams, options?: CallOptions): Promise<T>;
  /**
   * Runs an extension's method on the broker and returns its output as it arrives.
   * @param method MODULE.METHOD, such as `ossec.AddAgent`; the module ends at the last dot.
   * @throws BrokerError `module_not_found`, `not_found`, `access_denied`.
   * @throws BrokerError `extension_failed` with the extension's own message, `extension_timeout`.
   * @throws BrokerError `timeout` after `options.timeoutMs`.
   */
  execute(method: string, params?: CallParams, options?: ExecuteOptions): Promise<Execution>;
  /**
   * Takes a lock: registers the entry `name` for as long as the lock is held, and renews it meanwhile. One
   * holder has it at a time. Release it, or declare it with `await using`.
   * @throws BrokerError `already_exists` while another holds it.
   * @throws BrokerError `timeout` when the wait for it took too long; `usage`.
   */
  lock(name: string, options?: LockOptions): Promise<Lock>;
  /**
   * Runs `work` while the lock is held, and returns its result. The lock is released at the end, also when
   * `work` throws.
   * @throws what {@link BrokerClient.lock} and `work` throw.
   * @throws BrokerError `lock_lost` when the lock was lost before `work` ended; its cause is what `work`
   * threw.
   */
  withLock<T>(name: string, options: LockOptions, work: (lock: Lock) => Promise<T> | T): Promise<T>;
  /**
   * Ends its calls, waits, watches and outputs, which throw `usage`, as every later call does. Its locks count
   * as lost, and nothing more is sent: release a lock before.
   */
  close(): void;
  /** `await using client = await connect(…)` closes it at the end of the block. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Connects to a broker, after its identity has been checked. The check goes by the fingerprint, or by the
 * identity kept from first contact; at first contact, the present one is kept. With `discoverKey`, the broker
 * must prove that it has the key. With a URL, an authority must vouch for the certificate. Nothing secret is
 * sent before the check has passed (contract, section 6).
 *
 * @throws BrokerError `unreachable`; with `retryForMs`, `timeout`.
 * @throws BrokerError `usage` for a malformed address, fingerprint, key or authority, and for options that
 * exclude each other.
 * @throws BrokerError `identity_mismatch` when the broker presents another certificate than the one asked
 * for, does not prove that it has `discoverKey`, or no authority vouches for it.
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
  checkConnect(options);
  const { broker, notify = () => undefined, discoverKey } = options;
  const fingerprint = options.fingerprint === undefined ? undefined : parseFingerprint(options.fingerprint);
  if (typeof broker === 'string' && isUrl(broker)) {
    const { settleUrl } = await import('./connect-url.ts');
    return open(options, await settleUrl({ ...options, broker, fingerprint }));
  }
  for (const name of ['ca', 'fetch'] as const)
    if (options[name] !== undefined)
      throw new BrokerError('usage', `Option '${name}' has no meaning without a URL: broker: 'https://…'`);
  const found: HostPort & Partial<FoundBroker> =
    typeof broker === 'string' ? parseAddress(broker, 'broker address') : broker;
  const address = { host: found.host, port: found.port };
  const { proof, addresses = [found.host] } = found;
  if (proof && fingerprint !== undefined && fingerprint !== proof.fingerprint)
    throw identityMismatch(address, fingerprint, proof.fingerprint, 'named');
  if (discoverKey !== undefined) {
    const key = checkDiscoveryKey(discoverKey, 'discovery key');
    const expected = proof?.fingerprint ?? fingerprint;
    return open(
      options,
      pinTo('proved', (ms) => proveBroker(address, key, expected, ms)),
    );
  }
  if (proof) return connectProved({ ...address, addresses, proof }, options);
  const { foundBy = found.foundBy } = options;
  const knownBrokers = openKnownBrokers(options.knownBrokers ?? knownBrokersFile());
  const identity = { fingerprint, foundBy, knownBrokers, notify };
  const settle = async (ms: number): Promise<ProvedBroker> => ({
    address,
    pin: await resolvePin(address, ms, identity),
  });
  return open({ ...options, foundBy }, pinTo(fingerprint === undefined ? 'kept' : 'named', settle));
}

/**
 * A client of a broker that keyed discovery has found. It connects to one of the broker's addresses, and
 * accepts its certificate alone.
 */
export function connectProved(
  found: FoundBroker,
  options: Omit<ConnectOptions, 'broker' | 'fingerprint' | 'discoverKey' | 'knownBrokers' | 'ca' | 'fetch'>,
): Promise<BrokerClient> {
  return open(
    options,
    pinTo('proved', (ms) => reachBroker(found, ms)),
  );
}

function pinTo(source: PinSource, settle: (ms: number) => Promise<ProvedBroker>): Settle {
  return async (ms) => {
    const { address, pin } = await settle(ms);
    return openPinnedConnection(address, pin, source);
  };
}

async function open(options: Omit<ConnectOptions, 'broker'>, settle: Settle): Promise<BrokerClient> {
  const { accessKey, timeoutMs = 10_000, retryForMs = 0, notify = () => undefined, onAnswer } = options;
  const { settleMs = timeoutMs, foundBy, findAgain } = options;
  const connection = await untilReached(retryForMs, (leftMs) => settle(Math.min(settleMs, leftMs)));
  const rpc = createRpc({ connection, accessKey, timeoutMs, onAnswer });
  return createClient(
    rpc,
    reconnectWhenLost({ connection, closed: rpc.closed, findAgain, foundBy, notify }),
    notify,
  );
}

/** Loads the code that looks for a lost broker only when the broker is lost. */
function reconnectWhenLost(options: ReconnectOptions): Reconnect {
  let reconnect: Reconnect | undefined;
  const load = async (): Promise<Reconnect> =>
    (await import('./connection/reconnect.ts')).createReconnect(options);
  const lost = async (...args: Parameters<Reconnect>): Promise<unknown> => {
    reconnect ??= await load();
    return reconnect(...args);
  };
  return Object.assign(lost, { cause: () => reconnect?.cause(), reached: () => reconnect?.reached() });
}

/** How long one ping of a wait may take, in milliseconds, besides the extra time of {@link poll}. */
const PING_MS = 5000;

const callOptions: readonly (keyof CallOptions)[] = ['timeoutMs', 'signal', 'headers'];
const executeOptions: readonly (keyof ExecuteOptions)[] = ['timeoutMs', 'signal'];
const watchOptions: readonly (keyof WatchClientOptions)[] = [
  'name',
  'prefix',
  'after',
  'initial',
  'count',
  'timeoutMs',
  'signal',
];
/** The options of the methods that are no registry's: a misspelt one must not be ignored. */
const taken = {
  ping: [...callOptions, 'wait'],
  call: callOptions,
  execute: executeOptions,
  watch: watchOptions,
};

function createClient(rpc: Rpc, reconnect: Reconnect, notify: (connection: string) => void): BrokerClient {
  const registry = createRegistry(rpc, reconnect, rpc.connection.isProxied ? PROXIED_POLL_MS : undefined);
  return {
    ...registry,
    get address() {
      return rpc.connection.address;
    },
    outOfReach: () => reconnect.cause(),
    async ping(data = '', options = {}) {
      checkMethod('ping', options, taken.ping);
      const { wait = false, ...call } = options;
      const { timeoutMs, signal } = call;
      const deadline = deadlineIn(timeoutMs);
      const ask = (limit: CallOptions): Promise<Json> =>
        rpc.call('ping', 'Ping', { data }, { ...call, ...limit });
      const waiting = { reconnect, pollMs: PING_MS, closed: rpc.closed };
      const answer = wait
        ? await poll(
            waiting,
            { timeoutMs, signal },
            'the broker',
            (_, { timeoutMs: ms = PING_MS, ...rest }) =>
              ask({ ...rest, timeoutMs: Math.max(1, Math.min(ms, deadline.left())) }),
          )
        : await ask({});
      const { data: echoed = null, src } = isObject(answer) ? answer : {};
      return {
        data: isObject(echoed) ? (stringOf(echoed) ?? echoed) : JSON.stringify(echoed),
        src: typeof src === 'string' ? src : '',
      };
    },
    // A generator, so that the code of a watch is loaded with the first change that is asked for.
    async *watch<T extends EntryShape>(watched: WatchClientOptions = {}) {
      checkMethod('watch', watched, taken.watch);
      const { after, initial, count, timeoutMs, signal, ...scope } = watched;
      if (initial && after !== undefined)
        throw new BrokerError('usage', "watch: give 'initial' or 'after', not both");
      const { firstChanges, watchChanges } = await import('./registry/watch.ts');
      const options = { after, initial, deadline: deadlineIn(timeoutMs), signal, reconnect };
      const listNow = async (): Promise<ClientList> => {
        if (scope.name === undefined) return registry.list(scope.prefix);
        const { entries, revision } = await registry.list(scope.name);
        return { entries: entries.filter(({ name }) => name === scope.name), revision };
      };
      const changes = watchChanges(rpc, scope, options, listNow);
      yield* (count === undefined ? changes : firstChanges(changes, count)) as AsyncIterable<ClientChange<T>>;
    },
    async call<T>(module: string, method: string, params: CallParams = {}, options: CallOptions = {}) {
      checkMethod('call', options, taken.call);
      return (await rpc.call(module, method, params, options)) as T;
    },
    async execute(method, params = {}, options = {}) {
      checkMethod('execute', options, taken.execute);
      const { execute } = await import('./execute.ts');
      return execute(rpc, method, params, options);
    },
    async lock(name, options = {}) {
      const { takeLock } = await import('./registry/lock.ts');
      return takeLock({ rpc, registry, reconnect, notify }, name, options);
    },
    async withLock(name, options, work) {
      const { withLock } = await import('./registry/lock.ts');
      return withLock({ rpc, registry, reconnect, notify }, name, options, work);
    },
    close: () => rpc.close(),
    async [Symbol.asyncDispose]() {
      rpc.close();
    },
  };
}
