/** The client library: `import { connect } from 'bpbroker/client'`. */
export type { ClientChange, ClientEntry, ClientList } from './answers.ts';
export {
  type BrokerClient,
  type ConditionalOptions,
  connect,
  type ConnectOptions,
  type RegisterOptions,
  type WaitOptions,
  type WatchClientOptions,
  type WriteOptions,
} from './client.ts';
export { BrokerError, type ErrorCode } from '../protocol/errors.ts';
export type { HostPort } from '../protocol/address.ts';
export type { Json, JsonObject } from '../protocol/data.ts';
