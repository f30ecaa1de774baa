/** The rest of the exports of `bpbroker/client`: what is typed by its user, and what takes the place of the network. */
import { type Broker, createBroker } from 'bpbroker';
import {
  type BrokerClient,
  type CallOptions,
  type CallParams,
  type ClientChange,
  type ClientEntry,
  type ClientPut,
  connect,
  type ConnectOptions,
  discover,
  type DiscoverOptions,
  type EntryShape,
  type Execution,
  type Fetch,
  type FindAgain,
  type FoundAgain,
  type FoundBroker,
  type Json,
  type Proof,
  type Seen,
  type UpdateOptions,
  type WatchClientOptions,
  type WatchScope,
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
console.log(none, proof?.fingerprint, seen?.instance);

const findAgain: FindAgain = async (): Promise<FoundAgain> => ({ brokers: [one], holders: [] });
const byFound: ConnectOptions = { broker: one, accessKey: 'k', findAgain };
const client: BrokerClient = await connect(byFound);

const scope: WatchScope = { prefix: 'a' };
for await (const change of client.watch<Web>(scope)) {
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

const initial: WatchClientOptions = { ...scope, initial: true, count: 1, after: undefined };
for await (const change of client.watch(initial)) console.log(change.revision);
const unset: UpdateOptions = { unset: ['tries.left'], ttlMs: 1000 };
const without: ClientEntry = await client.update('a', undefined, unset);
const gone: number = (await client.deletePrefix('a/')).count;
const echo: string = (await client.ping('a', { timeoutMs: 1000 })).src;
console.log(without.revision, gone, echo);

const shape = { port: 1 } satisfies EntryShape;
const typed: ClientEntry<Web> = await client.get<Web>('a');
const port: number = shape.port + typed.data.port + (await client.waitFor<Alias>('a')).data.port;
const texts: string[] = (await client.list<string>()).entries.map(({ data }) => data);
const plain: string | { readonly [key: string]: Json } = (await client.get('a')).data;
const json: Json = await client.call('a', 'B');
const params: CallParams = { data: 1 };
const call: CallOptions = { timeoutMs: port };
const list: readonly number[] = await client.call<number[]>('a', 'B', params, call);
console.log(texts, plain, json, list);
// @ts-expect-error -- an entry is no number
await client.get<number>('a');

await using disposable: BrokerClient = await connect(byFound);
await using execution: Execution = await disposable.execute('a.B');
await using embedded: Broker = await createBroker({ dir: 'y' });
const network: Fetch = (...args) => embedded.app.fetch(new Request(...args));
const mounted = await connect({ broker: 'https://app.test/x', fetch: network });
await connect({ broker: 'https://app.test/x', fetch: embedded.app.fetch });
await connect({ broker: 'https://app.test/x', fetch });
await connect({ broker: 'https://app.test/x', ca: ['a', 'b'] });
console.log(execution.contentType, mounted.address.port);
// @ts-expect-error -- a name has one of the two
await discover({ names: 'a' });
