import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import fc from 'fast-check';
import type { Hono } from 'hono';
import * as v from 'valibot';
import { createApp, type CreateAppOptions } from '../../../src/api/create-app.ts';
import { createOpenApi } from '../../../src/api/openapi/open-api.ts';
import { operations } from '../../../src/api/openapi/operations.ts';
import { openBroker } from '../../../src/broker/broker.ts';
import { pingParams } from '../../../src/modules/ping.ts';
import type { JsonObject } from '../../../src/protocol/formats/data.ts';
import { params } from '../../../src/protocol/registry/services-params.ts';
import { memoryStore } from '../../../src/store/memory/memory-store.ts';
import { openApp } from '../../broker/support.ts';
import { tempDir } from '../../support/temp.ts';
import {
  anything,
  callOf,
  checkAnswer,
  type DocumentedOperation,
  fetchDocument,
  KEY,
  operationsOf,
} from './document.ts';

type Config = NonNullable<CreateAppOptions['config']>;

const withKeys: Config = { services: { _access_key: KEY }, ossec: { _access_key: KEY } };

function appWith(config: Config = withKeys, signal?: AbortSignal): Hono {
  return createApp({ store: memoryStore(), config, modules: { ossec: anything }, ...(signal && { signal }) });
}

describe('/openapi.json', () => {
  const configs: Record<string, Config> = {
    'of the defaults': {},
    'with keys': { services: { _access_key: KEY }, ping: { _access_key: KEY } },
    'with another module': { ossec: {} },
  };
  for (const [name, config] of Object.entries(configs)) {
    it(`is valid OpenAPI 3.1, ${name}`, async () => {
      const document = await fetchDocument(appWith(config));
      const validator = new Validator();
      const { valid, errors } = await validator.validate(structuredClone(document));
      assert.ok(valid, JSON.stringify(errors));
      assert.equal(validator.version, '3.1');
    });
  }

  it('is of a broker too, which has an identity', async (t) => {
    const { broker } = await openApp({});
    t.after(() => broker.close());
    const document = await fetchDocument(broker.app);
    assert.ok((await new Validator().validate(structuredClone(document))).valid);
    const identity = operationsOf(document).find(({ operationId }) => operationId === 'identity');
    assert.ok(identity);
    await checkAnswer(identity, await callOf(broker.app, identity));
  });

  it('tells how to call every operation that it has', async () => {
    const ending = new AbortController();
    const app = appWith(withKeys, ending.signal);
    const all = operationsOf(await fetchDocument(app));
    for (const operation of all) {
      const { operationId, body, bodySchema } = operation;
      assert.ok(bodySchema?.(body) ?? true, `the example of ${operationId} does not fit its schema`);
      const answer = await callOf(app, operation);
      assert.equal(answer.status, 200, operationId);
      if (answer.headers.get('content-type') === 'text/event-stream') {
        const reader = answer.body?.getReader();
        const first = new TextDecoder().decode((await reader?.read())?.value);
        assert.match(first, /^event: watching\n/);
        void reader?.cancel();
      } else await checkAnswer(operation, answer);
    }
    ending.abort();
  });

  it('has every method of the modules that are built in, and no other', async () => {
    const app = appWith({});
    const documented = operationsOf(await fetchDocument(app)).map(({ path }) => path);
    for (const module of ['ping', 'services']) {
      const answer = await app.request(`/${module}/None`, { method: 'POST' });
      const { message } = (await answer.json()) as { message: string };
      const methods = /there are (.*)$/.exec(message)?.[1]?.split(', ') ?? [];
      const own = documented.filter((path) => path.startsWith(`/${module}/`));
      assert.deepEqual(own.toSorted(), methods.map((method) => `/${module}/${method}`).toSorted());
    }
  });

  it('describes every parameter, and with the schema that checks the request', () => {
    for (const { module, method, params: schema, docs: notes } of operations) {
      const checking = module === 'ping' ? pingParams : params[method as keyof typeof params];
      assert.equal(schema, checking, `${module}.${method}`);
      const { entries } = schema as unknown as { readonly entries: object };
      for (const name of Object.keys(entries))
        assert.ok(notes[name], `${module}.${method}: nothing is said of '${name}'`);
    }
  });

  it('documents the failures that there are', async () => {
    const app = appWith();
    const all = operationsOf(await fetchDocument(app));
    const find = (id: string): DocumentedOperation => {
      const found = all.find(({ operationId }) => operationId === id);
      assert.ok(found, id);
      return found;
    };
    const failing: readonly [string, JsonObject, number][] = [
      ['servicesRegister', { name: 'foo' }, 400],
      ['servicesRegister', { name: 'foo', data: 'a' }, 200],
      ['servicesRegister', { name: 'foo', data: 'b' }, 409],
      ['servicesReplace', { name: 'foo', data: 'b', if_revision: 7 }, 409],
      ['servicesGet', { name: 'bar' }, 404],
      ['servicesGet', { name: 'bar', tll: 1 }, 400],
      ['servicesRegister', { name: 'big', data: 'x'.repeat(1_100_000) }, 413],
    ];
    for (const [id, body, status] of failing) {
      const answer = await callOf(app, find(id), body);
      assert.equal(answer.status, status, id);
      await checkAnswer(find(id), answer);
    }
    const noKey = await app.request('/services/Get', { method: 'POST' });
    assert.equal(noKey.status, 401);
    await checkAnswer(find('servicesGet'), noKey);
    const page = await app.request('/services/Get', {
      method: 'POST',
      headers: { origin: 'https://a.test' },
    });
    assert.equal(page.status, 403);
    await checkAnswer(find('servicesGet'), page);
  });

  it('row "open pages": names no module that is not built in, nor one that is not enabled', async () => {
    const text = JSON.stringify(await fetchDocument(appWith({ 'very-secret': { _access_key: KEY } })));
    assert.ok(!text.includes('very-secret'));
    assert.ok(!text.includes(KEY));
    assert.ok(text.includes('/{module}/{method}'));
    assert.ok(!JSON.stringify(await fetchDocument(appWith({}))).includes('{module}'));
  });

  it('follows a configuration that is taken over while the broker runs', async (t) => {
    const file = `${tempDir()}/bpbroker.json`;
    const broker = await openBroker({ file });
    t.after(() => broker.close());
    assert.ok(operationsOf(await fetchDocument(broker.app)).every(({ isGuarded }) => !isGuarded));
    const written = JSON.parse(readFileSync(file, 'utf8')) as JsonObject;
    writeFileSync(file, JSON.stringify({ ...written, services: { _access_key: KEY } }));
    await broker.reload();
    const guarded = operationsOf(await fetchDocument(broker.app)).filter(({ isGuarded }) => isGuarded);
    assert.deepEqual(new Set(guarded.map((one) => one.path.split('/')[1])), new Set(['services', 'status']));
  });

  it('is made at the next request where it could not be made at this one', async () => {
    let attempts = 0;
    const guards = (): boolean => {
      attempts += 1;
      if (attempts === 1) throw new Error('too many open files');
      return false;
    };
    const openApi = createOpenApi({ config: { services: {} }, accessKeys: { guards }, hasIdentity: false });
    await assert.rejects(openApi(), /too many open files/);
    const text = await openApi();
    assert.match(text, /"openapi":"3\.1/);
    assert.equal(await openApi(), text);
  });
});

describe('the schema of a request in the document', () => {
  const text = fc.oneof(
    fc.string(),
    fc.constantFrom('web1', '', '_a', '5', '1s', '1.5m', 'true', '0', '1e3'),
  );
  const value = fc.oneof(text, fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.object());
  const names = [
    'name',
    'data',
    'ttl',
    'if_same',
    'if_revision',
    'wait',
    'prefix',
    'after',
    'limit',
    'entries',
  ];
  const body = fc.dictionary(fc.constantFrom(...names, 'other'), value, { noNullPrototype: true });

  it('refuses nothing that the broker takes', async () => {
    const all = operationsOf(await fetchDocument(appWith()));
    for (const { module, method, params: schema } of operations) {
      const { bodySchema } = all.find(({ path }) => path === `/${module}/${method}`) ?? {};
      assert.ok(bodySchema);
      const property = fc.property(
        body,
        fc.record({ name: text, data: fc.oneof(text, fc.object()) }),
        (some, more) => {
          for (const given of [some, { ...some, ...more }, more, { name: more.name }]) {
            if (!v.safeParse(schema, given).success || !isData((given as { data?: unknown }).data)) continue;
            assert.ok(
              bodySchema(given),
              `${method} takes ${JSON.stringify(given)}: ${JSON.stringify(bodySchema.errors)}`,
            );
          }
        },
      );
      fc.assert(property, { numRuns: 300 });
    }
  });

  it('refuses what the broker refuses in the types of its parameters', async () => {
    const all = operationsOf(await fetchDocument(appWith()));
    const wrong: Record<string, readonly unknown[]> = {
      name: [1, null, '', '_a', {}],
      ttl: [true, {}, 'soon', -1],
      wait: [true, {}, 'soon', -1],
      if_same: [1, 'yes', null],
      if_revision: [1.5, -1, 'x', true],
      limit: [0, 1001, 1.5, 'x'],
      entries: ['no', 2],
      other: [1],
    };
    for (const { module, method, params: schema, example } of operations) {
      const { bodySchema } = all.find(({ path }) => path === `/${module}/${method}`) ?? {};
      for (const [name, values] of Object.entries(wrong)) {
        for (const one of values) {
          const given = { ...example, [name]: one };
          assert.ok(!v.safeParse(schema, given).success);
          assert.equal(bodySchema?.(given), false, `${method} with ${name} ${JSON.stringify(one)}`);
        }
      }
    }
  });
});

/** What `data` may be is checked behind the schema. */
function isData(data: unknown): boolean {
  return data === undefined || typeof data === 'string' || (typeof data === 'object' && data !== null);
}
