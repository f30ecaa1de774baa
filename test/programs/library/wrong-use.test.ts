import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import * as v from 'valibot';
import * as app from '../../../src/api/index.ts';
import * as library from '../../../src/index.ts';
import * as stores from '../../../src/store/index.ts';
import { tempDir } from '../../support/temp.ts';

/** As a program without types calls them. */
type Loose = (...args: unknown[]) => unknown;
const { createBroker, connect, discover, defineMethod, defineModule } = library as unknown as Record<
  string,
  Loose
>;
const { createApp } = app as unknown as Record<string, Loose>;
const { memoryStore } = stores as unknown as Record<string, Loose>;

const dir = path.join(tempDir(), 'never-made');
const store = stores.memoryStore();
const method = library.defineMethod({ params: v.strictObject({}), run: () => library.jsonReply({}) });

const secret = 'a secret';

/** What is wrong, the call, and all of its message. */
const cases: readonly (readonly [string, (() => unknown) | undefined, string])[] = [
  ['createBroker()', () => createBroker?.(), "createBroker: expected an object with 'dir', got nothing"],
  [
    'createBroker(text)',
    () => createBroker?.(dir),
    "createBroker: expected an object with 'dir', got a string",
  ],
  [
    'createBroker({})',
    () => createBroker?.({}),
    "createBroker: the option 'dir' is missing; expected the folder for its file, such as './broker-data'",
  ],
  [
    'createBroker({ dir: 5 })',
    () => createBroker?.({ dir: 5 }),
    "createBroker: the option 'dir' is 5; expected the folder for its file, such as './broker-data'",
  ],
  [
    "createBroker({ dir: '' })",
    () => createBroker?.({ dir: '' }),
    `createBroker: the option 'dir' is ""; expected the folder for its file, such as './broker-data'`,
  ],
  [
    'createBroker({ dirr })',
    () => createBroker?.({ dirr: dir }),
    "createBroker: the option 'dirr' is unknown; did you mean 'dir'?",
  ],
  [
    'createBroker({ port })',
    () => createBroker?.({ dir, port: 1 }),
    "createBroker: the option 'port' is unknown; there are dir, config, modules, log, onAlive",
  ],
  [
    'createBroker({ config: text })',
    () => createBroker?.({ dir, config: 'bpbroker.json' }),
    `createBroker: the option 'config' is "bpbroker.json"; expected an object in the configuration file's shape, such as { api: { listen_port: 20443 } }`,
  ],
  [
    'an option of config of the wrong kind',
    () => createBroker?.({ dir, config: { api: { listen_port: '1' } } }),
    'createBroker: config: option api.listen_port: expected a number, got "1"',
  ],
  [
    'a module in config that is no object',
    () => createBroker?.({ dir, config: { greet: true } }),
    'createBroker: config: option greet: expected an object, got a boolean',
  ],
  [
    'an access key that is undefined, which must not leave its module open',
    () => createApp?.({ store, config: { services: { _access_key: undefined } } }),
    "createApp: config: option services._access_key: it is undefined; give a key, or '' for none",
  ],
  [
    'a module without call()',
    () => createBroker?.({ dir, modules: { greet: { Hello: method } } }),
    "createBroker: the option 'modules.greet' has no call(); expected a module, as defineModule() makes it",
  ],
  [
    'a module that is a function',
    () => createApp?.({ store, modules: { greet: () => undefined } }),
    "createApp: the option 'modules.greet' is a function; expected a module, as defineModule() makes it",
  ],
  [
    'a logger without methods',
    () => createBroker?.({ dir, log: () => undefined }),
    "createBroker: the option 'log' is a function; expected a logger with debug, info, warn and error, such as console",
  ],
  ['createApp()', () => createApp?.(), "createApp: expected an object with 'store', got nothing"],
  [
    'createApp({ stor })',
    () => createApp?.({ stor: store }),
    "createApp: the option 'stor' is unknown; did you mean 'store'?",
  ],
  [
    'createApp({ signal: true })',
    () => createApp?.({ store, signal: true }),
    "createApp: the option 'signal' is true; expected an AbortSignal",
  ],
  ['connect()', () => connect?.(), "connect: expected an object with 'broker', got nothing"],
  [
    'connect({})',
    () => connect?.({}),
    "connect: the option 'broker' is missing; expected an address such as '192.0.2.1:20443' or { host: '192.0.2.1', port: 20443 }, a URL such as 'https://host/prefix', or what discover() found",
  ],
  [
    'connect({ broker: { port } })',
    () => connect?.({ broker: { host: '127.0.0.1', port: 'a' } }),
    "connect: the option 'broker' is an object; expected an address such as '192.0.2.1:20443' or { host: '192.0.2.1', port: 20443 }, a URL such as 'https://host/prefix', or what discover() found",
  ],
  [
    'connect({ acessKey })',
    () => connect?.({ broker: '127.0.0.1:1', acessKey: secret }),
    "connect: the option 'acessKey' is unknown; did you mean 'accessKey'?",
  ],
  [
    'connect({ accessKey: number }), which no message repeats',
    () => connect?.({ broker: '127.0.0.1:1', accessKey: 20_443_777 }),
    "connect: the option 'accessKey' is a number; expected a string",
  ],
  [
    'connect({ timeoutMs: text })',
    () => connect?.({ broker: '127.0.0.1:1', timeoutMs: '3s' }),
    `connect: the option 'timeoutMs' is "3s"; expected a number of milliseconds from 0 on`,
  ],
  [
    'discover(name)',
    () => discover?.('web'),
    'discover: expected an object with any of name, key, timeoutMs, targets, interfaces, port, all, signal, got a string',
  ],
  [
    'discover({ nam }), which would find any broker',
    () => discover?.({ nam: 'web' }),
    "discover: the option 'nam' is unknown; did you mean 'name'?",
  ],
  [
    'memoryStore({ maxBites })',
    () => memoryStore?.({ maxBites: 1 }),
    "memoryStore: the option 'maxBites' is unknown; did you mean 'maxBytes'?",
  ],
  [
    'memoryStore({ maxBytes: 0 })',
    () => memoryStore?.({ maxBytes: 0 }),
    "memoryStore: the option 'maxBytes' is 0; expected a number of bytes above 0",
  ],
  ['defineModule()', () => defineModule?.(), 'defineModule: expected an object of methods, got nothing'],
  [
    'defineModule({ Foo: 5 })',
    () => defineModule?.({ Foo: 5 }),
    "defineModule: method 'Foo': expected an object with 'params' and 'run', got a number",
  ],
  [
    'defineModule() of functions',
    () => defineModule?.({ Foo: () => undefined }),
    "defineModule: method 'Foo': expected an object with 'params' and 'run', got a function",
  ],
  [
    'defineMethod() without a schema',
    () => defineMethod?.({ params: { name: 'string' }, run: () => undefined }),
    "defineMethod: the option 'params' is an object; expected a schema of valibot, zod, arktype or any other library that keeps Standard Schema",
  ],
  [
    'defineMethod() without run()',
    () => defineMethod?.({ params: v.strictObject({}) }),
    "defineMethod: the option 'run' is missing; expected a function of the parameters and the call",
  ],
];

describe('wrong use from a program without types', () => {
  for (const [what, use, message] of cases) {
    it(`names the option, what it is, and what would be right: ${what}`, async () => {
      // Functions that return a promise reject it, and never throw.
      const code = /^(?:connect|discover):/.test(message) ? 'usage' : 'invalid_config';
      const rejects = /^(?:connect|discover|createBroker)\b/.test(message);
      const told = { name: 'BrokerError', code, message };
      if (rejects) await assert.rejects(Promise.resolve(use?.()), told);
      else assert.throws(() => use?.(), told);
    });
  }

  it('makes nothing', () => assert.equal(existsSync(dir), false));

  it('takes what is undefined as not given', async () => {
    const broker = await library.createBroker({
      dir: path.join(tempDir(), 'made'),
      config: JSON.parse('{}') as object,
      ...({ log: undefined, modules: undefined, onAlive: undefined } as object),
    });
    await broker.close();
    const unset = { api: { listen_port: undefined }, greet: undefined } as unknown as library.BrokerConfig;
    const other = await library.createBroker({ dir: path.join(tempDir(), 'other'), config: unset });
    assert.equal(other.config.api.listen_port, 20_443);
    assert.equal(Object.hasOwn(other.config, 'greet'), false);
    await other.close();
  });
});
