/** The client library: `import { connect, discover } from 'bpbroker/client'`. */
export type {
  ClientChange,
  ClientCount,
  ClientEntry,
  ClientList,
  ClientPut,
  EntryShape,
} from './registry/answers.ts';
export { type BrokerClient, connect, type ConnectOptions, type WatchClientOptions } from './client.ts';
export { discover, type DiscoverOptions } from './discover.ts';
export type { ExecuteOptions, Execution } from './execute.ts';
export type { Fetch } from './connection/fetch-channel.ts';
export type { Lock, LockOptions } from './registry/lock.ts';
export type { FindAgain, FoundAgain } from './connection/reconnect.ts';
export type {
  ConditionalOptions,
  CountOptions,
  HeldLock,
  LockedOptions,
  Registry,
  RegisterOptions,
  UpdateOptions,
  WaitOptions,
  WriteOptions,
} from './registry/registry.ts';
export type { CallOptions, CallParams } from './connection/rpc.ts';
export type { FoundBroker, Proof, Seen } from './discovery/responders.ts';
export type { WatchScope } from './registry/watch.ts';
export { BrokerError, type ErrorCode } from '../protocol/errors.ts';
export type { HostPort } from '../protocol/addresses/address.ts';
export type { Json, JsonObject } from '../protocol/formats/data.ts';
