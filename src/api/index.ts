/** The API as a Hono app for any runtime: `bpbroker/app`. */
export { type AppConfig, type AppSections, createApp, type CreateAppOptions } from './create-app.ts';
export type { ModuleConfig, ModuleKey } from '../config/schema.ts';
export type { AuditEvent, AuditRecord } from './audit/record.ts';
export type { ClientAddress } from './access/connection.ts';
export {
  type Call,
  type CallOrigin,
  defineMethod,
  defineModule,
  jsonReply,
  type MethodDefinition,
  type Module,
  type Reply,
} from '../modules/module.ts';
export type { StandardIssue, StandardResult, StandardSchema } from '../modules/parameters.ts';
export { BrokerError, type ErrorCode } from '../protocol/errors.ts';
export type { LogFields, Logger } from '../protocol/logger.ts';
export { VERSION } from '../protocol/version.ts';
