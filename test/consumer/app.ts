/** Every export of `bpbroker/app`, as a program uses them; it is compiled and never run. */
import {
  type AppConfig,
  type AppSections,
  type AuditEvent,
  type AuditRecord,
  BrokerError,
  type Call,
  type CallOrigin,
  type ClientAddress,
  createApp,
  type CreateAppOptions,
  defineMethod,
  defineModule,
  type ErrorCode,
  jsonReply,
  type LogFields,
  type Logger,
  type MethodDefinition,
  type Module,
  type ModuleConfig,
  type ModuleKey,
  type Reply,
  type StandardIssue,
  type StandardResult,
  type StandardSchema,
  VERSION,
} from 'bpbroker/app';
import { memoryStore } from 'bpbroker/store';
import { Hono } from 'hono';
import { z } from 'zod';

const count: MethodDefinition<{ prefix: string }> = {
  params: z.strictObject({ prefix: z.string() }),
  async run({ prefix }, { registry, log, clientAddress }: Call): Promise<Reply> {
    const fields: LogFields = { prefix, clientAddress };
    log.debug('counted', fields);
    return jsonReply({ count: (await registry.list(prefix)).entries.length });
  },
};
const counter: Module = defineModule({ Count: defineMethod(count) });

const issue: StandardIssue = { message: 'expected nothing' };
const refusal: StandardResult<never> = { issues: [issue] };
const nothing: StandardSchema<never> = {
  '~standard': { version: 1, vendor: 'mine', validate: () => Promise.resolve(refusal) },
};

const log: Logger = console;
const clientAddress: ClientAddress = (c) => c.req.header('x-real-ip') ?? '';
const key: ModuleKey = { _access_key: 'secret' };
const counterConfig: ModuleConfig = { ...key, unit: 'entries' };
const config: AppConfig = { ping: {}, services: key, counter: counterConfig };
const audited: AuditEvent[] = [];
const record = (audit: AuditRecord): void => {
  if (audit.key !== undefined) audited.push(audit.event);
};
const originOf = ({ origin }: Call): CallOrigin | undefined => origin;
console.log(audited, originOf);
const options: CreateAppOptions = {
  store: memoryStore(),
  config,
  modules: {
    counter,
    closed: defineModule({ Never: defineMethod({ params: nothing, run: () => jsonReply({}) }) }),
  },
  log,
  clientAddress,
  metricsKey: ['old', 'new'],
  audit: record,
  signal: new AbortController().signal,
};
const app: Hono = createApp(options);
new Hono().route('/broker', app);

interface Settings {
  readonly counter: { readonly unit: string };
}
const settings: Settings = { counter: { unit: 'entries' } };
const sections: AppSections = { services: { _access_key: ['old', 'new'] } };
createApp({ store: memoryStore(), config: settings });
createApp({ store: memoryStore(), config: sections });
createApp({ store: memoryStore(), config: { counter: { unit: 'entries' } }, modules: { counter } });

try {
  createApp({ store: memoryStore() });
} catch (error) {
  const code: ErrorCode = error instanceof BrokerError ? error.code : 'internal';
  console.log(code, VERSION);
}

// @ts-expect-error -- 'store' is required
createApp({});
// @ts-expect-error -- a path is no store
createApp({ store: './data' });
// @ts-expect-error -- an app listens nowhere
createApp({ store: memoryStore(), config: { api: { listen_port: 1 } } });
// @ts-expect-error -- an app has no discovery
createApp({ store: memoryStore(), config: { discover: { _access_key: 'x' } } });
// @ts-expect-error -- options of the process have no meaning
createApp({ store: memoryStore(), config: { _store: { max_bytes: 1 } } });
// @ts-expect-error -- nor has any other key that begins so
createApp({ store: memoryStore(), config: { _mine: {} } });
const wrong: { readonly api: { readonly listen_port: number } } = { api: { listen_port: 1 } };
// @ts-expect-error -- an interface may not have them either
createApp({ store: memoryStore(), config: wrong });
// @ts-expect-error -- a module's options are an object
createApp({ store: memoryStore(), config: { counter: true } });
