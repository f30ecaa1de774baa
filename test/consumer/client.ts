/** Every export of `bpbroker/client`, as a program uses them; it is compiled and never run. */
import {
  type BrokerClient,
  BrokerError,
  type CallOptions,
  type CallParams,
  type ClientChange,
  type ClientCount,
  type ClientEntry,
  type ClientList,
  type ClientPut,
  type ConditionalOptions,
  type CountOptions,
  connect,
  type ConnectOptions,
  discover,
  type DiscoverOptions,
  type EntryShape,
  type ErrorCode,
  type ExecuteOptions,
  type Execution,
  type Fetch,
  type FindAgain,
  type FoundAgain,
  type FoundBroker,
  type HeldLock,
  type HostPort,
  type Json,
  type JsonObject,
  type Lock,
  type LockedOptions,
  type LockOptions,
  type Proof,
  type RegisterOptions,
  type Registry,
  type Seen,
  type WaitOptions,
  type WatchClientOptions,
  type WatchScope,
  type WriteOptions,
} from 'bpbroker/client';

interface Web {
  readonly port: number;
}
type Alias = { readonly port: number };

const search: DiscoverOptions = {
  name: 'a',
  key: 'k',
  timeoutMs: 5,
  targets: [],
  interfaces: ['lo'],
  port: 1,
  all: true,
};
const [found, ...others] = await discover(search);
const one: FoundBroker = found;
const none: FoundBroker | undefined = others[0];
const proof: Proof | undefined = one.proof;
const seen: Seen | undefined = one.seen;
console.log(proof?.fingerprint, seen?.instance, none?.host);
const findAgain: FindAgain = async (ms, signal): Promise<FoundAgain> => {
  const brokers = await discover({ timeoutMs: ms, signal, all: true });
  return { brokers, holders: brokers };
};

const broker: HostPort = { host: '::1', port: 1 };
const options: ConnectOptions = { broker, accessKey: 'k', timeoutMs: 5, notify: console.log, findAgain };
const client: BrokerClient = await connect(options);
await using disposable: BrokerClient = await connect({ broker: one, accessKey: 'k' });
const mounted: Fetch = (request) => new Response(request.url);
await connect({ broker: 'https://app.test/x', fetch: mounted });
await connect({ broker: 'https://app.test/x', fetch });
await connect({ broker: 'https://app.test/x', ca: ['a', 'b'] });

const registry: Registry = client;
const register: RegisterOptions = { ttlMs: 5, ifSame: true };
const write: WriteOptions = { ttlMs: 5 };
const wait: WaitOptions = { timeoutMs: 5, signal: new AbortController().signal };
const data: JsonObject = { b: [1, null] };
const entry: ClientEntry = await registry.register('a', data, register);
const condition: ConditionalOptions = { ifRevision: entry.revision };
await registry.replace('a', 'text', { ...write, ...condition });
const countOptions: CountOptions = { ...wait, entries: false };
const counted: ClientCount = await registry.waitForCount(1, 'a', countOptions);
const list: ClientList = await registry.waitForCount(counted.count, 'a', { ...wait, entries: true });
console.log((await registry.count('a')).revision);
const first: Json | undefined = list.entries[0]?.data;
const typed: ClientEntry<Web> = await client.get<Web>('a');
const port: number = typed.data.port + (await client.waitFor<Alias>('a', wait)).data.port;
const texts: string[] = (await client.list<string>()).entries.map(({ data: text }) => text);
const readAs = async <T extends EntryShape>(name: string): Promise<T> => (await client.get<T>(name)).data;
console.log(first, texts, (await readAs<Web>('a')).port);

const lockOptions: LockOptions = { data: 'a', ttlMs: 5000, wait: true, ...wait };
await using lock: Lock = await client.lock('a', lockOptions);
const held: HeldLock = { name: lock.name, revision: lock.revision };
const locked: LockedOptions = { ifLocked: held };
await client.delete('b', { ...locked, ...condition });
await client.register('b', 'c', { wait: true, signal: lock.signal });
const worked: number = await client.withLock('b', {}, async (own) => (own.isHeld() ? own.revision : 0));
await lock.release();
console.log(worked);
// @ts-expect-error -- a lifetime is in milliseconds
await client.withLock('b', { ttl: '10s' }, () => 1);

const scope: WatchScope = { prefix: 'a' };
const watch: WatchClientOptions = { ...scope, after: list.revision };
for await (const change of client.watch<Web>(watch)) {
  const of: ClientChange<Web> = change;
  if (change.type === 'put') {
    const put: ClientPut<Web> = change;
    console.log(put.lastWriteTs + put.data.port, put.lastWriteIp.length);
  } else if (change.type === 'reset') {
    // @ts-expect-error -- a reset is of no entry
    console.log(of.name);
    break;
  } else {
    console.log(change.name);
    // @ts-expect-error -- what is gone has no data
    console.log(change.data);
  }
}

const params: CallParams = { data: 1 };
const call: CallOptions = { timeoutMs: port };
const json: Json = await client.call('a', 'B');
const numbers: readonly number[] = await client.call<number[]>('a', 'B', params, call);
const execute: ExecuteOptions = { timeoutMs: 5 };
await using execution: Execution = await disposable.execute('module.Method', params, execute);
console.log(json, numbers, execution.contentType, await execution.text());

try {
  await client.get('a');
} catch (error) {
  if (error instanceof BrokerError) {
    const code: ErrorCode = error.code;
    console.log(code, error.exitCode);
  }
}
client.close();

// @ts-expect-error -- 'broker' is required
await connect({});
// @ts-expect-error -- there is no such option
await connect({ broker, acessKey: 'k' });
// @ts-expect-error -- an entry is no number
await client.get<number>('a');
// @ts-expect-error -- a name has one of the two
await discover({ names: 'a' });
// @ts-expect-error -- an entry holds a string or an object
await client.register('a', 5);
// @ts-expect-error -- an error's code is one of the table
new BrokerError('no_such_code', '');
// @ts-expect-error -- register takes no revision
await client.register('a', 'b', { ifRevision: 1 });
