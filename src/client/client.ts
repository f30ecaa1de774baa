import { type HostPort, parseAddress } from '../protocol/address.ts';
import { type Json, type JsonObject, stringOf } from '../protocol/data.ts';
import type { BrokerError } from '../protocol/errors.ts';
import { isObject } from '../protocol/data.ts';
import {
  type ClientChange,
  type ClientEntry,
  type ClientList,
  entryOf,
  type PageAnswer,
  pageOf,
} from './answers.ts';
import { parseFingerprint, resolvePin } from './identity.ts';
import { knownBrokersFile, openKnownBrokers } from './known-brokers.ts';
import { backoff, deadlineIn, isPassing } from './retry.ts';
import { type CallOptions, type CallParams, createRpc, type Rpc } from './rpc.ts';
import type { WatchScope } from './watch.ts';

export interface ConnectOptions {
  /** `HOST` or `HOST:PORT` (IPv6 in brackets); the port is 20443 unless given. */
  readonly broker: string | HostPort;
  /** Presented with every call; default: none. It leaves only after the broker's identity has been checked. */
  readonly accessKey?: string | undefined;
  /** Pins the broker's certificate: `sha256:HEX`, or the 64 hex digits. Default: trust on first use. */
  readonly fingerprint?: string | undefined;
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

export interface WriteOptions {
  /** Milliseconds after which the entry expires unless it is renewed; default: never. */
  readonly ttlMs?: number | undefined;
}
export interface RegisterOptions extends WriteOptions {
  /** Whether the name may stand already if its data is equal; default false. */
  readonly ifSame?: boolean;
}
export interface ConditionalOptions {
  /** Write only if the entry is at this revision; 0: only if it does not stand. */
  readonly ifRevision?: number | undefined;
}
export interface WaitOptions {
  /** Longest to wait, in milliseconds; default: no limit. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}
export interface WatchClientOptions extends WatchScope {
  /** Begin after this revision; default: with the next change. */
  readonly after?: number;
  /** How long a broken connection is tried again, in milliseconds from the start; default: no limit. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A broker's registry and modules, from afar. Every method throws BrokerError with the codes of the error table. */
export interface BrokerClient {
  /** The broker it talks to. */
  readonly address: HostPort;
  /** Sends `data` there and back. Gives what came back and the address the broker saw. */
  ping(data?: string): Promise<{ readonly data: string | JsonObject; readonly src: string }>;
  /** Makes an entry. Throws `already_exists` when the name stands. */
  register(name: string, data: string | JsonObject, options?: RegisterOptions): Promise<ClientEntry>;
  /** Stores, whatever stood. Throws `revision_conflict`. */
  replace(
    name: string,
    data: string | JsonObject,
    options?: WriteOptions & ConditionalOptions,
  ): Promise<ClientEntry>;
  /** Merges into what stands. Throws `revision_conflict`. */
  update(
    name: string,
    data: string | JsonObject,
    options?: WriteOptions & ConditionalOptions,
  ): Promise<ClientEntry>;
  /** Starts an entry's lifetime anew. Throws `not_found`, `revision_conflict`. */
  renew(name: string, options?: ConditionalOptions): Promise<ClientEntry>;
  /** Throws `not_found`. */
  get(name: string): Promise<ClientEntry>;
  /** Waits until the entry stands, through broken connections and restarts too. Throws `timeout`. */
  waitFor(name: string, options?: WaitOptions): Promise<ClientEntry>;
  /** Removes an entry; succeeds when there is none. Throws `revision_conflict`. */
  delete(name: string, options?: ConditionalOptions): Promise<void>;
  /** All entries whose names start with `prefix`. */
  list(prefix?: string): Promise<ClientList>;
  /** Waits until `count` entries stand under `prefix` (a barrier), and lists them. Throws `timeout`. */
  waitForCount(count: number, prefix?: string, options?: WaitOptions): Promise<ClientList>;
  /** Changes as they happen; ends when `signal` is aborted. */
  watch(options?: WatchClientOptions): AsyncIterableIterator<ClientChange>;
  /** Calls any module's method and gives the JSON that it answers. */
  call(module: string, method: string, params?: CallParams, options?: CallOptions): Promise<JsonObject>;
  /** Closes its connections. */
  close(): void;
}

/** How long one request waits at the broker; a longer wait is made of several. */
const POLL_MS = 30_000;

/**
 * A client of the broker at a given address, whose identity is settled here: checked against the fingerprint, or against
 * the one kept from first contact, which is what connects if there was none yet.
 *
 * @throws BrokerError `unreachable`, or with `retryForMs` `timeout`; `usage` (a malformed address or fingerprint).
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
  const { broker, accessKey, fingerprint, timeoutMs = 10_000, notify = () => undefined } = options;
  const address = typeof broker === 'string' ? parseAddress(broker, 'broker address') : broker;
  const pinned = fingerprint === undefined ? undefined : parseFingerprint(fingerprint);
  const knownBrokers = openKnownBrokers(options.knownBrokers ?? knownBrokersFile());
  const pin = await untilReached(options.retryForMs ?? 0, (leftMs) =>
    resolvePin(address, Math.min(timeoutMs, leftMs), { fingerprint: pinned, knownBrokers, notify }),
  );
  const { onAnswer } = options;
  return createClient(
    createRpc({ address, pin, pinned: pinned !== undefined, accessKey, timeoutMs, onAnswer }),
  );
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
  const write = async (method: string, name: string, params: CallParams): Promise<ClientEntry> =>
    entryOf(name, await rpc.call('services', method, { name, ...params }));

  const page = async (params: CallParams, options?: CallOptions): Promise<PageAnswer> =>
    pageOf(await rpc.call('services', 'List', params, options));

  const listAll = async (prefix: string, first?: PageAnswer): Promise<ClientList> => {
    let last = first ?? (await page({ prefix }));
    // That of the first page: what changed while the others were read is told by a watch that goes on from there.
    const { revision } = last;
    const entries = [...last.entries];
    while (last.next !== undefined) {
      last = await page({ prefix, after: last.next });
      entries.push(...last.entries);
    }
    return { entries, revision };
  };

  return {
    address: rpc.address,
    async ping(data = '') {
      const answer = await rpc.call('ping', 'Ping', { data });
      const { data: echoed, src } = answer;
      return {
        data: isObject(echoed) ? (stringOf(echoed) ?? echoed) : JSON.stringify(echoed),
        src: typeof src === 'string' ? src : '',
      };
    },
    register: (name, data, { ttlMs, ifSame = false } = {}) =>
      write('Register', name, { data, ttl: ttlText(ttlMs), if_same: ifSame || undefined }),
    replace: (name, data, { ttlMs, ifRevision } = {}) =>
      write('Replace', name, { data, ttl: ttlText(ttlMs), if_revision: ifRevision }),
    update: (name, data, { ttlMs, ifRevision } = {}) =>
      write('Update', name, { data, ttl: ttlText(ttlMs), if_revision: ifRevision }),
    renew: (name, { ifRevision } = {}) => write('Renew', name, { if_revision: ifRevision }),
    get: (name) => write('Get', name, {}),
    waitFor: (name, options = {}) =>
      poll(options, `entry '${name}'`, async (wait, call) => {
        try {
          return entryOf(name, await rpc.call('services', 'Get', { name, wait }, call));
        } catch (error) {
          if ((error as BrokerError).code === 'not_found') return undefined;
          throw error;
        }
      }),
    async delete(name, { ifRevision } = {}) {
      await rpc.call('services', 'Delete', { name, if_revision: ifRevision });
    },
    list: (prefix = '') => listAll(prefix),
    waitForCount: (count, prefix = '', options = {}) =>
      poll(options, `${count} entries whose names start with '${prefix}'`, async (wait, call) => {
        const first = await page({ prefix, wait, wait_count: count }, call);
        return first.count >= count ? listAll(prefix, first) : undefined;
      }),
    // A generator, so that what only a watch needs is loaded when it is first asked for a change.
    async *watch({ after, timeoutMs, signal, ...scope } = {}) {
      const { watchChanges } = await import('./watch.ts');
      const options = { after, deadline: deadlineIn(timeoutMs), signal };
      const listNow = async (): Promise<ClientList> => {
        if (scope.name === undefined) return listAll(scope.prefix ?? '');
        const { entries, revision } = await listAll(scope.name);
        return { entries: entries.filter(({ name }) => name === scope.name), revision };
      };
      yield* watchChanges(rpc, scope, options, listNow);
    },
    call: (module, method, params = {}, options = {}) => rpc.call(module, method, params, options),
    close: () => rpc.close(),
  };
}

/** Asks again and again, each time waiting at the broker, until there is something or the time is up. */
async function poll<T>(
  { timeoutMs, signal }: WaitOptions,
  waitedFor: string,
  ask: (wait: string, call: CallOptions) => Promise<T | undefined>,
): Promise<T> {
  const deadline = deadlineIn(timeoutMs);
  const retry = backoff();
  for (;;) {
    const left = deadline.left();
    const wait = Math.min(POLL_MS, left);
    // An answer that is due and does not come means a dead connection: some time more, and it is made anew.
    const grace = left > POLL_MS ? 5000 : 1000;
    try {
      const found = await ask(`${Math.ceil(wait)}ms`, { timeoutMs: wait + grace, signal });
      if (found !== undefined) return found;
      retry.reset();
    } catch (error) {
      if (signal?.aborted || !isPassing(error)) throw error;
      await retry.pause(deadline, signal);
    }
    if (deadline.left() === 0) throw deadline.error(waitedFor);
  }
}

function ttlText(ttlMs: number | undefined): Json | undefined {
  return ttlMs === undefined ? undefined : `${ttlMs}ms`;
}
