import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { launchers, run } from '../../support/programs/programs.ts';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import { consumer } from '../../support/documents/consumer.ts';
import { skipOf } from '../support.ts';

/** Modules that a program adds to the broker within it, called as any other is. */
const script = `
import { createBroker, defineMethod, defineModule, jsonReply } from 'bpbroker';
import { connect } from 'bpbroker/client';
import * as v from 'valibot';

let closed = 0;
const hello = {
  ...defineModule({
    Greet: defineMethod({
      params: v.strictObject({ name: v.pipe(v.string(), v.minLength(2, 'expected two letters')), loud: v.optional(v.boolean(), false) }),
      run: ({ name, loud }, { clientAddress }) => jsonReply({ said: loud ? name.toUpperCase() : name, to: clientAddress }),
    }),
    Stream: defineMethod({
      params: v.strictObject({}),
      run: () => ({ contentType: 'text/plain', body: (async function* () { yield 'a'; yield 'b'; })() }),
    }),
    Fail: defineMethod({ params: v.looseObject({}), run() { throw new Error('secret detail'); } }),
    _hidden: defineMethod({ params: v.looseObject({}), run: () => jsonReply({}) }),
  }),
  async close() { closed += 1; },
};
const broker = await createBroker({
  dir: './data',
  config: { api: { listen_port: 0 }, hello: { _access_key: ['old', 'new'] } },
  modules: { hello, unlisted: defineModule({}) },
});
const { port, fingerprint } = await broker.listen();
const clients = [];
const clientOf = async (accessKey) => {
  const client = await connect({ broker: \`127.0.0.1:\${port}\`, fingerprint, accessKey });
  clients.push(client);
  return client;
};
const told = (promise) => promise.then((answer) => answer, ({ code, message }) => code + ': ' + message);
const client = await clientOf('new');
const call = (method, params, module = 'hello', by = client) => told(by.call(module, method, params));
const results = {
  typed: await call('Greet', { name: 'you' }),
  defaults: await call('Greet', { name: 'you', loud: true }),
  oldKey: await call('Greet', { name: 'you' }, 'hello', await clientOf('old')),
  execute: await told(client.execute('hello.Stream').then((answer) => answer.text())),
  ping: await told(client.ping('still mine').then(({ data }) => data)),
  wrongKey: await call('Greet', { name: 'you' }, 'hello', await clientOf('wrong')),
  noKey: await call('Greet', { name: 'you' }, 'hello', await clientOf()),
  private: await call('_hidden', {}),
  missing: await call('Great', {}),
  inherited: await call('toString', {}),
  noModule: await call('Greet', {}, 'unlisted'),
  wrongType: await call('Greet', { name: 5 }),
  wrongValue: await call('Greet', { name: 'x' }),
  missingParameter: await call('Greet', {}),
  unknownParameter: await call('Greet', { name: 'you', nam: 1 }),
  thrown: await call('Fail', {}),
  builtIn: await told(createBroker({ dir: './other', modules: { ping: hello } })),
};
for (const each of clients) each.close();
await broker.close();
await broker.close();
console.log(JSON.stringify({ ...results, closed }));
`;

describe('modules of a program that embeds a broker', () => {
  for (const launcher of launchers.filter(({ name }) => name !== 'executable')) {
    it(`pass the same door as any other, on ${launcher.name}`, { skip: skipOf(launcher) }, async () => {
      const dir = consumer({ 'modules.mjs': script });
      const runtime = launcher.bpbroker.slice(0, -1);
      const { code, stdout, stderr } = await run([...runtime, 'modules.mjs'], {
        cwd: dir,
        env: cleanEnv(dir),
      });
      assert.deepEqual([code, stderr], [0, ''], stderr);
      assert.deepEqual(JSON.parse(stdout.replace(/request=[0-9a-f]{12}/, 'request=ID')), {
        typed: { said: 'you', to: '127.0.0.1' },
        defaults: { said: 'YOU', to: '127.0.0.1' },
        oldKey: { said: 'you', to: '127.0.0.1' },
        execute: 'ab',
        ping: 'still mine',
        wrongKey: "access_denied: Incorrect access key for module 'hello'",
        noKey: "access_denied: Module 'hello' asks for an access key, and none was given",
        private: "forbidden: Method '_hidden' is private: methods that begin with '_' cannot be called",
        missing: "not_found: No method 'Great'; there are Greet, Stream, Fail, _hidden",
        inherited: "not_found: No method 'toString'; there are Greet, Stream, Fail, _hidden",
        noModule:
          "module_not_found: Module 'unlisted' is not enabled; a top-level key 'unlisted' in the broker's configuration enables it",
        wrongType: "invalid_request: Invalid parameter 'name': expected a text, got 5",
        wrongValue: "invalid_request: Invalid parameter 'name': expected two letters",
        missingParameter: "invalid_request: Missing parameter 'name'",
        unknownParameter: "invalid_request: Unknown parameter 'nam'",
        thrown: 'internal: The broker failed to answer; its log says why, in the line with request=ID',
        builtIn: "invalid_config: Module 'ping' is built in; give yours another name",
        closed: 1,
      });
    });
  }
});
