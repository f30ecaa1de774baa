import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';
import { createApp } from '../../src/api/create-app.ts';
import { defineMethod, defineModule, jsonReply } from '../../src/modules/module.ts';
import type { StandardSchema } from '../../src/modules/parameters.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';

interface Greeting {
  readonly name: string;
  readonly times: number;
}

/** The same parameters in three libraries, and once more, checked asynchronously. */
const schemas: Readonly<Record<string, StandardSchema<Greeting>>> = {
  valibot: v.strictObject({
    name: v.pipe(v.string(), v.minLength(2, 'expected two letters')),
    times: v.optional(v.number(), 1),
  }),
  zod: z.strictObject({ name: z.string().min(2, 'expected two letters'), times: z.number().default(1) }),
  arktype: type({ name: 'string >= 2', times: 'number = 1', '+': 'reject' }),
  'valibot, asynchronous': v.strictObjectAsync({
    name: v.pipeAsync(
      v.string(),
      v.checkAsync((name) => Promise.resolve(name.length >= 2), 'expected two letters'),
    ),
    times: v.optional(v.number(), 1),
  }),
  'zod, asynchronous': z.strictObject({
    name: z.string().refine((name) => Promise.resolve(name.length >= 2), 'expected two letters'),
    times: z.number().default(1),
  }),
};

/** What each says of parameters that are wrong. */
const told: Readonly<Record<string, readonly [missing: string, unknown: string, short: string]>> = {
  valibot: [
    "Missing parameter 'name'",
    "Unknown parameter 'nam'",
    "Invalid parameter 'name': expected two letters",
  ],
  zod: [
    "Missing parameter 'name': Invalid input: expected string, received undefined",
    'Invalid parameters: Unrecognized key: "nam"',
    "Invalid parameter 'name': expected two letters",
  ],
  arktype: [
    "Missing parameter 'name': name must be a string (was missing)",
    "Invalid parameter 'nam': nam must be removed",
    "Invalid parameter 'name': name must be at least length 2 (was 1)",
  ],
};

async function call(schema: StandardSchema<Greeting>, params: object): Promise<[number, unknown]> {
  let runs = 0;
  const greet = defineModule({
    Hello: defineMethod({
      params: schema,
      run({ name, times }) {
        runs += 1;
        return jsonReply({ said: name.repeat(times) });
      },
    }),
  });
  const app = createApp({ store: memoryStore(), modules: { greet }, config: { greet: {} } });
  const headers = { 'content-type': 'application/json' };
  const init = { method: 'POST', headers, body: JSON.stringify(params) };
  const response = await app.request('/greet/Hello', init);
  const { said, message } = (await response.json()) as { said?: string; message?: string };
  assert.equal(runs, response.status === 200 ? 1 : 0, 'a method runs with parameters that are right alone');
  return [response.status, said ?? message];
}

describe('the parameters of a method', () => {
  for (const [name, schema] of Object.entries(schemas)) {
    it(`are what its schema makes of them: ${name}`, async () => {
      assert.deepEqual(await call(schema, { name: 'you' }), [200, 'you']);
      assert.deepEqual(await call(schema, { name: 'you', times: 2 }), [200, 'youyou']);
    });

    it(`are refused by their names, before the method runs: ${name}`, async () => {
      const [missing, unknown, short] = told[name.split(',')[0] ?? ''] ?? [];
      assert.deepEqual(await call(schema, { times: 2 }), [400, missing]);
      assert.deepEqual(await call(schema, { name: 'you', nam: 1 }), [400, unknown]);
      assert.deepEqual(await call(schema, { name: 'x' }), [400, short]);
    });
  }

  it('are named with the way to them', async () => {
    const nested = z.object({
      name: z.string(),
      times: z.number().default(1),
      at: z.object({ host: z.string() }),
    });
    assert.deepEqual(await call(nested, { name: 'you', at: {} }), [
      400,
      "Missing parameter 'at.host': Invalid input: expected string, received undefined",
    ]);
    assert.deepEqual(await call(nested, { name: 'you', at: 'here' }), [
      400,
      "Invalid parameter 'at': Invalid input: expected object, received string",
    ]);
  });

  it('are refused by a schema that names no issue', async () => {
    const mute: StandardSchema<Greeting> = {
      '~standard': { version: 1, vendor: 'none', validate: () => ({ issues: [] }) },
    };
    assert.deepEqual(await call(mute, {}), [400, 'Invalid parameters: their schema does not say why']);
  });

  it('fail the call and tell nothing when the schema itself throws', async () => {
    const broken: StandardSchema<Greeting> = {
      '~standard': {
        version: 1,
        vendor: 'none',
        validate: () => Promise.reject(new Error('secret detail')),
      },
    };
    const [status, message] = await call(broken, {});
    assert.equal(status, 500);
    assert.match(
      String(message),
      /^The broker failed to answer; its log says why, in the line with request=\w+$/,
    );
  });

  it('waits for any promise, and never runs a method unchecked', async () => {
    const settled = { value: { name: 'Ada', times: 1 } };
    // oxlint-disable-next-line unicorn/no-thenable -- a promise of a library's own
    const later = { then: (resolve: (result: unknown) => void) => resolve(settled) };
    const validate = (() => later) as unknown as StandardSchema<Greeting>['~standard']['validate'];
    const schema: StandardSchema<Greeting> = { '~standard': { version: 1, vendor: 'own', validate } };
    const greet = defineModule({
      Hello: defineMethod({ params: schema, run: ({ name }) => jsonReply(`Hello, ${name}`) }),
    });
    const app = createApp({ store: memoryStore(), config: { greet: {} }, modules: { greet } });
    const answer = await app.request('/greet/Hello', { method: 'POST' });
    assert.deepEqual([answer.status, await answer.json()], [200, 'Hello, Ada']);
  });
});

describe('the parameters of a request that may wait', () => {
  const long = 'x'.repeat(513);
  const rows: Readonly<Record<string, readonly [method: string, params: object, message: string]>> = {
    'the prefix of a watch': [
      'Watch',
      { prefix: long },
      "'prefix': expected at most 512 bytes, as names have, not 513",
    ],
    'the prefix of a list': [
      'List',
      { prefix: 'é'.repeat(257), wait: 0 },
      "'prefix': expected at most 512 bytes, as names have, not 514",
    ],
    'the name after which a list begins': [
      'List',
      { after: long },
      "'after': expected at most 512 bytes, as names have, not 513",
    ],
    'the prefix of a deletion': [
      'Delete',
      { prefix: long },
      "'prefix': expected at most 512 bytes, as names have, not 513",
    ],
    'the name after which a deletion begins': [
      'Delete',
      { prefix: 'x', after: long },
      "'after': expected at most 512 bytes, as names have, not 513",
    ],
    'a duration': [
      'Get',
      { name: 'x', wait: '0'.repeat(65) },
      "'wait': expected at most 64 characters, not 65",
    ],
    'an access key': [
      'Watch',
      { access_key: 'x'.repeat(16_385) },
      "'access_key': expected at most 16384 characters, not 16385",
    ],
  };
  const ask = async (method: string, params: object): Promise<Response> =>
    await createApp({ store: memoryStore() }).request(`/services/${method}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(params),
    });
  for (const [what, [method, params, message]] of Object.entries(rows)) {
    it(`are small, since they are kept until its end: ${what}`, async () => {
      const response = await ask(method, params);
      const text = response.status === 200 ? 'taken' : await response.text();
      await response.body?.cancel().catch(() => undefined);
      assert.deepEqual([response.status, text.includes(`Invalid parameter ${message}`)], [400, true], text);
    });
  }

  it('may be as long as the longest name', async () => {
    const response = await ask('List', { prefix: long.slice(1), after: long.slice(1) });
    assert.equal(response.status, 200);
  });
});
