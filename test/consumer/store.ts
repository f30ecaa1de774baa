/** Every export of `bpbroker/store` and its contract, as a driver's author uses them; it is compiled and never run. */
import {
  type Change,
  type CountWait,
  type EtcdFetch,
  etcdStore,
  type EtcdStore,
  type EtcdStoreOptions,
  type Guard,
  type Entry,
  type ListOptions,
  memoryStore,
  type MemoryStoreOptions,
  type Mutation,
  type MutationResult,
  type NewEntry,
  type Outcome,
  type Page,
  type Reset,
  type StateLimits,
  type Store,
  type StoreHealth,
  type WatchItem,
  type WatchOptions,
} from 'bpbroker/store';
import { type ContractOptions, storeContract, type StoreUnderTest } from 'bpbroker/store/contract';

const limits: StateLimits = { historyChanges: 100, historyBytes: 1e6, watchBytes: 1e5 };
const options: MemoryStoreOptions = { ...limits, maxBytes: 1e6 };

/** A driver over another: it tells every change. */
function toldStore(inner: Store, tell: (change: Change) => void): Store {
  const ended = new AbortController();
  const watched: WatchOptions = { prefix: '', signal: ended.signal, onBehind: () => ended.abort() };
  const follow = async (): Promise<void> => {
    for await (const item of inner.watch(watched)) {
      const told: WatchItem = item;
      if (told.type === 'reset') {
        const reset: Reset = told;
        console.log(reset.revision);
      } else tell(told);
    }
  };
  void follow();
  return {
    get revision() {
      return inner.revision;
    },
    get: (name): Promise<Entry | undefined> => inner.get(name),
    lifetimeLeft: (name: string): Promise<number | undefined> => inner.lifetimeLeft(name),
    list: (listed?: ListOptions): Promise<Page> => inner.list(listed),
    count: (prefix) => inner.count(prefix),
    waitForEntry: (name, signal): Promise<Entry> => inner.waitForEntry(name, signal),
    waitForCount: (prefix, count, signal): Promise<CountWait> => inner.waitForCount(prefix, count, signal),
    mutate: (name: string, mutation: Mutation, guard?: Guard): Promise<MutationResult> =>
      inner.mutate(name, mutation, guard),
    watch: (watch) => inner.watch(watch),
    health: (): StoreHealth => inner.health(),
    close() {
      ended.abort();
      return inner.close();
    },
  };
}

const store = toldStore(memoryStore(options), (change) => console.log(change.name, change.revision));
const entry: NewEntry = { name: 'a', data: { a: 1 }, lastWriteTs: 0, lastWriteIp: '' };
const guard: Guard = { name: 'b', check: (current) => console.log(current?.revision) };
await store.mutate('a', () => ({ action: 'keep' }), guard);
await store.mutate('a', (current): Outcome => (current ? { action: 'keep' } : { action: 'put', entry }));

const contract: ContractOptions = {
  driver: 'told',
  durable: false,
  shortTtlMs: 200,
  describe: (name, state) => {
    console.log(name);
    state();
  },
  it: (_name, test) => void test(),
  open(): Promise<StoreUnderTest> {
    const opened = toldStore(memoryStore(), () => undefined);
    return Promise.resolve({
      store: opened,
      reopen: () => Promise.resolve(opened),
      dispose: () => opened.close(),
    });
  },
};
storeContract(contract);

const request: EtcdFetch = (url, init) => fetch(url, init);
const cluster: EtcdStoreOptions = { ...limits, endpoints: ['http://127.0.0.1:2379'], fetch: request };
const shared: EtcdStore = etcdStore(cluster);
await shared.ready();
console.log(shared.id);
await shared.fresh?.();

// @ts-expect-error -- it needs members
etcdStore({ prefix: '/bpbroker/' });
// @ts-expect-error -- there is no such limit
memoryStore({ maxBites: 1 });
// @ts-expect-error -- a store has more than this
toldStore({ get: () => Promise.resolve(undefined) }, () => undefined);
// @ts-expect-error -- there is no such action
await store.mutate('a', () => ({ action: 'remove' }));
