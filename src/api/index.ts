/** The API as a Hono app for any runtime: `bpbroker/app`. */
export { createApp, type CreateAppOptions } from './create-app.ts';
export type { ModuleOptions } from './api.ts';
export type { ClientAddress } from './connection.ts';
export {
  type Call,
  defineMethod,
  defineModule,
  jsonReply,
  type MethodDefinition,
  type Module,
  type Reply,
} from '../modules/module.ts';
export { BrokerError, type ErrorCode } from '../protocol/errors.ts';
export type { LogFields, Logger } from '../protocol/logger.ts';
export { VERSION } from '../protocol/version.ts';
