/** Every export of `bpbroker` but those of `bpbroker/client`, as a program uses them; it is compiled and never run. */
import {
  type AuditConfig,
  type Broker,
  type BrokerAddress,
  type BrokerConfig,
  type BrokerSections,
  type Call,
  type CallOrigin,
  createBroker,
  type CreateBrokerOptions,
  defineMethod,
  defineModule,
  type EffectiveConfig,
  type Entry,
  type ExtensionAnswer,
  type ExtensionLog,
  type ExtensionMethod,
  type ExtensionRequest,
  jsonReply,
  type LogFields,
  type Logger,
  type LogLevel,
  type MethodDefinition,
  type Module,
  type ModuleConfig,
  type ModuleKey,
  type Reply,
  type StandardIssue,
  type StandardResult,
  type StandardSchema,
  VERSION,
} from 'bpbroker';
import { Hono } from 'hono';
import * as v from 'valibot';
import { z } from 'zod';

// A schema of any library: `run` receives the output type of the schema.
const greetings: Module = defineModule({
  Valibot: defineMethod({
    params: v.strictObject({ who: v.string(), times: v.optional(v.number(), 1) }),
    run: ({ who, times }) => jsonReply({ hello: who.repeat(times) }),
  }),
  Zod: defineMethod({
    params: z.strictObject({ who: z.string(), at: z.coerce.date() }),
    run: ({ who, at }) => jsonReply({ hello: who, year: at.getFullYear() }),
  }),
  Asynchronous: defineMethod({
    params: v.objectAsync({
      who: v.pipeAsync(
        v.string(),
        v.checkAsync((who) => Promise.resolve(who !== '')),
      ),
    }),
    run: ({ who }) => jsonReply({ hello: who }),
  }),
});

// A schema of your own, and a module without helpers.
const text: StandardSchema<{ text: string }> = {
  '~standard': {
    version: 1,
    vendor: 'mine',
    validate(value): StandardResult<{ text: string }> {
      const issue: StandardIssue = { message: 'expected text', path: ['text'] };
      return typeof value === 'string' ? { value: { text: value } } : { issues: [issue] };
    },
  },
};
const shout: MethodDefinition<{ text: string }> = {
  params: text,
  async run({ text: said }, call: Call): Promise<Reply> {
    const fields: LogFields = { from: call.clientAddress };
    call.log.info('somebody shouts', fields);
    const { data, revision } = await call.registry.replace('shouted', said.toUpperCase());
    call.signal.throwIfAborted();
    return {
      contentType: 'text/plain',
      body: `${JSON.stringify(data)} ${revision} ${call.header('accept') ?? ''}`,
    };
  },
};
const plain: Module = {
  isSafe: (method) => method === 'Count',
  call: (method, { params, httpMethod }): Reply => ({
    body: `${method} ${httpMethod} ${Object.keys(params).length}`,
  }),
  close: () => Promise.resolve(),
};

const log: Logger = {
  debug() {},
  info() {},
  warn: (message, fields) => console.log(message, fields),
  error() {},
};

// The configuration: an object with modules of your own, or a value of an interface.
const level: LogLevel = 'debug';
const key: ModuleKey = { _access_key: ['old', 'new'] };
const greetingsConfig: ModuleConfig = { ...key, language: 'en' };
const config: BrokerConfig = {
  api: { listen_port: 0, listen_ip: '127.0.0.1' },
  discover: { _access_key: '' },
  _global: { log_level: level, healthcheck_freq_sec: 10 },
  _config: { backup_freq_secs: 0 },
  _store: { driver: 'file', max_bytes: 1e9 },
  ping: {},
  services: key,
  worker: {},
  greetings: greetingsConfig,
};
interface Settings {
  readonly api: { readonly listen_port: number };
  readonly greetings: Greetings;
}
interface Greetings {
  readonly language: 'en' | 'de';
}
const settings: Settings = { api: { listen_port: 20_443 }, greetings: { language: 'de' } };
const sections: BrokerSections = { _config: { backup_retain_n: 3 } };

const trail: AuditConfig = { to: 'file', max_bytes: 1_000_000, required: true };
const moduleOf = ({ origin }: Call): CallOrigin['module'] | undefined => origin?.module;
console.log(moduleOf);
const options: CreateBrokerOptions = {
  dir: './data',
  config,
  log,
  modules: { greetings, plain, shout: defineModule({ Shout: defineMethod(shout) }) },
  onAlive: () => undefined,
};
const broker: Broker = await createBroker(options);
await createBroker({ dir: './data', config: settings });
await createBroker({ dir: './data', config: { _audit: { ...trail } } });
await createBroker({ dir: './data', config: sections, log: console });
await createBroker({ dir: './data', config: { greetings: {} }, modules: { greetings } });
await createBroker({ dir: './data', config: { greetings: { language: 'en', _access_key: 'secret' } } });
const onlyMine: { readonly greetings: Greetings } = settings;
await createBroker({ dir: './data', config: onlyMine });

const { url, port }: BrokerAddress = await broker.listen();
const effective: EffectiveConfig = broker.config;
const entry: Entry | undefined = await broker.store.get('a');
console.log(url, port, effective._global.healthcheck_freq_sec.toFixed(), entry?.revision.toFixed(), VERSION);
new Hono().route('/broker', broker.app);
await broker.reload();
await broker.close();

// An extension: a program of its own, which imports types alone.
export const Greet: ExtensionMethod = async ({ data, log: own, registry }: ExtensionRequest) => {
  const extensionLog: ExtensionLog = own;
  extensionLog.info('called');
  const answer: ExtensionAnswer = { data, count: (await registry.list()).entries.length };
  return answer;
};

// @ts-expect-error -- 'dir' is required
await createBroker({});
// @ts-expect-error -- there is no such option
await createBroker({ dir: '.', dirr: '.' });
// @ts-expect-error -- a port is a number
await createBroker({ dir: '.', config: { api: { listen_port: '1' } } });
// @ts-expect-error -- a port is a number beside a module of your own, too
await createBroker({ dir: '.', config: { greetings: {}, api: { listen_port: '1' } } });
// @ts-expect-error -- there is no such option
await createBroker({ dir: '.', config: { api: { listen_prot: 1 } } });
// @ts-expect-error -- there is no such level
await createBroker({ dir: '.', config: { _global: { log_level: 'loud' } } });
// @ts-expect-error -- a module's options are an object
await createBroker({ dir: '.', config: { greetings: true } });
// @ts-expect-error -- an access key is text
await createBroker({ dir: '.', config: { greetings: { _access_key: 5 } } });
const wrong: { readonly api: { readonly listen_port: string } } = { api: { listen_port: '1' } };
// @ts-expect-error -- a port is a number in an interface, too
await createBroker({ dir: '.', config: wrong });
// @ts-expect-error -- a module has call()
await createBroker({ dir: '.', modules: { greetings: {} } });
// @ts-expect-error -- the schema says that it is text
defineMethod({ params: z.object({ who: z.string() }), run: ({ who }) => jsonReply(who.toFixed()) });
// @ts-expect-error -- no schema
defineMethod({ params: { who: 'string' }, run: () => jsonReply({}) });
// @ts-expect-error -- a method is what defineMethod() makes
defineModule({ Hello: () => jsonReply({}) });
