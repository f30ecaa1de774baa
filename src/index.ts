/** bpbroker as a library: embed a broker, mount its app, or talk to one (`bpbroker/client`). */
export { createBroker, type CreateBrokerOptions } from './broker/create-broker.ts';
export type {
  BrokerConfig,
  BrokerSections,
  AuditConfig,
  Config as EffectiveConfig,
  LogLevel,
  ModuleConfig,
  ModuleKey,
} from './config/schema.ts';
export type { Broker, BrokerAddress } from './broker/broker.ts';
export * from './client/index.ts';
export {
  type Call,
  type CallOrigin,
  defineMethod,
  defineModule,
  jsonReply,
  type MethodDefinition,
  type Module,
  type Reply,
} from './modules/module.ts';
export type { StandardIssue, StandardResult, StandardSchema } from './modules/parameters.ts';
export type {
  ExtensionAnswer,
  ExtensionLog,
  ExtensionMethod,
  ExtensionRequest,
} from './extensions/host/request.ts';
export type { LogFields, Logger } from './protocol/logger.ts';
export type { Entry } from './protocol/registry/entry.ts';
export { VERSION } from './protocol/version.ts';
