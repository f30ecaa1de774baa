/** Every export of `bpbroker/client`, as a program uses them; it is compiled and never run. */
import {
  type BrokerClient,
  BrokerError,
  type ClientChange,
  type ClientEntry,
  type ClientList,
  type ConditionalOptions,
  connect,
  type ConnectOptions,
  type ErrorCode,
  type ExecuteOptions,
  type Execution,
  type HostPort,
  type Json,
  type JsonObject,
  type RegisterOptions,
  type Registry,
  type WaitOptions,
  type WatchClientOptions,
  type WriteOptions,
} from 'bpbroker/client';

const broker: HostPort = { host: '::1', port: 1 };
const options: ConnectOptions = { broker, accessKey: 'k', timeoutMs: 5, notify: console.log };
const client: BrokerClient = await connect(options);
const registry: Registry = client;

const register: RegisterOptions = { ttlMs: 5, ifSame: true };
const write: WriteOptions = { ttlMs: 5 };
const wait: WaitOptions = { timeoutMs: 5, signal: new AbortController().signal };
const data: JsonObject = { b: [1, null] };
const entry: ClientEntry = await registry.register('a', data, register);
const condition: ConditionalOptions = { ifRevision: entry.revision };
await registry.replace('a', 'text', { ...write, ...condition });
await registry.waitFor('a', wait);
const list: ClientList = await registry.waitForCount(1, 'a', wait);
const first: Json | undefined = list.entries[0]?.data;
console.log(first);

const watch: WatchClientOptions = { prefix: 'a', after: list.revision };
for await (const change of client.watch(watch)) {
  const { type }: ClientChange = change;
  if (type === 'reset') break;
}

const execute: ExecuteOptions = { timeoutMs: 5 };
const execution: Execution = await client.execute('module.Method', { data: 'x' }, execute);
console.log(await execution.text());

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
// @ts-expect-error -- an entry holds a string or an object
await client.register('a', 5);
// @ts-expect-error -- an error's code is one of the table
new BrokerError('no_such_code', '');
// @ts-expect-error -- register takes no revision
await client.register('a', 'b', { ifRevision: 1 });
