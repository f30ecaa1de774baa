/** The client library: `import { connect, discover } from 'bpbroker/client'`. */
export type { ClientChange, ClientCount, ClientEntry, ClientList, ClientPut, EntryShape } from './answers.ts';
export { type BrokerClient, connect, type ConnectOptions, type WatchClientOptions } from './client.ts';
export { discover, type DiscoverOptions } from './discover.ts';
export type { ExecuteOptions, Execution } from './execute.ts';
export type { Fetch } from './fetch-channel.ts';
export type { Lock, LockOptions } from './lock.ts';
export type { FindAgain, FoundAgain } from './regain.ts';
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
} from './registry.ts';
export type { CallOptions, CallParams } from './rpc.ts';
export type { FoundBroker, Proof, Seen } from './sightings.ts';
export type { WatchScope } from './watch.ts';
export { BrokerError, type ErrorCode } from '../protocol/errors.ts';
export type { HostPort } from '../protocol/address.ts';
export type { Json, JsonObject } from '../protocol/data.ts';
