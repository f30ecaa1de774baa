/** The client library: `import { connect } from 'bpbroker/client'`. */
export type { ClientChange, ClientEntry, ClientList } from './answers.ts';
export { type BrokerClient, connect, type ConnectOptions, type WatchClientOptions } from './client.ts';
export type { ExecuteOptions, Execution } from './execute.ts';
export type { ConditionalOptions, Registry, RegisterOptions, WaitOptions, WriteOptions } from './registry.ts';
export { BrokerError, type ErrorCode } from '../protocol/errors.ts';
export type { HostPort } from '../protocol/address.ts';
export type { Json, JsonObject } from '../protocol/data.ts';
