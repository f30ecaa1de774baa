/** Stores for the registry, and the rules for a driver of your own: `bpbroker/store`. */
export { memoryStore, type MemoryStoreOptions } from './memory/memory-store.ts';
export { etcdStore, type EtcdStore, type EtcdStoreOptions, type EtcdFetch } from './etcd/etcd-store.ts';
export type {
  CountWait,
  Guard,
  ListOptions,
  Mutation,
  MutationResult,
  NewEntry,
  Outcome,
  Page,
  Reset,
  Store,
  StoreHealth,
  WatchItem,
  WatchOptions,
} from './store.ts';
export type { StateLimits } from './memory/registry-state.ts';
export type { Change, Entry } from '../protocol/registry/entry.ts';
