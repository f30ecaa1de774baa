import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import type { Hono } from 'hono';
import * as v from 'valibot';
import { createApp, type CreateAppOptions } from '../../../src/api/create-app.ts';
import type { AuditRecord } from '../../../src/api/audit/record.ts';
import { defineMethod, defineModule, jsonReply } from '../../../src/modules/module.ts';
import { BrokerError } from '../../../src/protocol/errors.ts';
import { memoryStore } from '../../../src/store/memory/memory-store.ts';
import { readExposition, valueOf } from '../../support/registry/exposition.ts';

const KEY = randomBytes(32).toString('hex');
const params = v.looseObject({});

const work = defineModule({
  Do: defineMethod({ params, run: () => jsonReply({}) }),
  Odd: defineMethod({ params, run: () => jsonReply({}, 299) }),
  Fail: defineMethod({
    params,
    run() {
      throw new BrokerError('extension_failed', 'no');
    },
  }),
  Break: defineMethod({
    params,
    run() {
      throw new Error('a bug');
    },
  }),
  Write: defineMethod({
    params,
    async run(_, call) {
      await call.registry.replace('by-module', 'x');
      return jsonReply({});
    },
  }),
  Stream: defineMethod({
    params,
    run: () => ({
      contentType: 'text/plain',
      body: (async function* () {
        yield 'a';
        yield 'b';
      })(),
    }),
  }),
  BreakLater: defineMethod({
    params,
    run: () => ({
      contentType: 'text/plain',
      body: (async function* () {
        yield 'a';
        throw new BrokerError('extension_failed', 'no');
      })(),
    }),
  }),
});

interface App {
  readonly records: AuditRecord[];
  /** Calls a method, from an address. */
  call(path: string, body?: object, options?: { key?: string; from?: string }): Promise<Response>;
  readonly app: Hono;
}

function makeApp(options: Partial<CreateAppOptions> = {}): App {
  const records: AuditRecord[] = [];
  const app = createApp({
    store: memoryStore(),
    config: { ping: {}, services: { _access_key: KEY }, work: {} },
    modules: { work },
    clientAddress: (c) => c.req.header('x-from') ?? '192.0.2.1',
    audit: (record) => void records.push(record),
    ...options,
  });
  return {
    records,
    app,
    async call(path, body = {}, { key = KEY, from = '192.0.2.1' } = {}) {
      const headers = {
        'content-type': 'application/json',
        'x-from': from,
        ...(key === '' ? {} : { authorization: `Bearer ${key}` }),
      };
      return await app.request(path, { method: 'POST', body: JSON.stringify(body), headers });
    },
  };
}

const short = ({ event, method, entry, revision, outcome }: AuditRecord): unknown[] => [
  event,
  method,
  entry,
  revision,
  outcome,
];

describe('row "audit": the trail of an app', () => {
  it('has a record of each write, with what became of it, and none of what reads', async () => {
    const { call, records } = makeApp();
    await call('/services/Register', { name: 'a', data: 'secret' });
    await call('/services/Register', { name: 'a', data: 'secret' });
    await call('/services/Register', { name: 'a', data: 'secret', if_same: true });
    await call('/services/Replace', { name: 'b', data: { x: 1 } });
    await call('/services/Update', { name: 'b', data: { y: 1 }, if_revision: 1 });
    await call('/services/Update', { name: 'b', data: { y: 1 } });
    await call('/services/Renew', { name: 'b' });
    await call('/services/Get', { name: 'b' });
    await call('/services/List');
    await call('/ping/Ping', { data: 'x' });
    await call('/services/Delete', { name: 'none' });
    await call('/services/Delete', { name: 'b' });
    await call('/services/Replace', { name: '_reserved', data: 'x' });
    assert.deepEqual(records.map(short), [
      ['write', 'Register', 'a', 1, 'ok'],
      ['write', 'Register', 'a', undefined, 'already_exists'],
      ['write', 'Register', 'a', 1, 'unchanged'],
      ['write', 'Replace', 'b', 2, 'ok'],
      ['write', 'Update', 'b', undefined, 'revision_conflict'],
      ['write', 'Update', 'b', 3, 'ok'],
      ['write', 'Renew', 'b', 3, 'ok'],
      ['write', 'Delete', 'none', undefined, 'unchanged'],
      ['write', 'Delete', 'b', 4, 'ok'],
      ['write', 'Replace', '_reserved', undefined, 'invalid_request'],
    ]);
    for (const { source, key, module } of records)
      assert.deepEqual([source, key, module], ['192.0.2.1', nameOf(KEY), 'services']);
    assert.doesNotMatch(JSON.stringify(records), /secret|"x"|"data"/);
  });

  it('has a record of each entry that is deleted by its prefix', async () => {
    const { call, records } = makeApp();
    for (const name of ['a/1', 'b', 'a/2']) await call('/services/Register', { name, data: 'x' });
    await call('/services/Delete', { prefix: 'a/' });
    await call('/services/Delete', { prefix: 'a/' });
    assert.deepEqual(
      records.slice(3).map((record) => [...short(record), record.prefix]),
      [
        ['write', 'Delete', 'a/1', 4, 'ok', 'a/'],
        ['write', 'Delete', 'a/2', 5, 'ok', 'a/'],
        ['write', 'Delete', undefined, undefined, 'unchanged', 'a/'],
      ],
    );
  });

  it('has what a deletion by prefix had done before it failed', async () => {
    const store = memoryStore();
    const { mutate } = store;
    const failing = {
      ...store,
      get revision() {
        return store.revision;
      },
      mutate: (...args: Parameters<typeof mutate>) =>
        args[0] === 'a/2' ? Promise.reject(new BrokerError('unavailable', 'no')) : mutate(...args),
    };
    for (const name of ['a/1', 'a/2', 'a/3'])
      await mutate(name, () => ({
        action: 'put',
        entry: { name, data: { x: 1 }, lastWriteTs: 1, lastWriteIp: '' },
      }));
    const { call, records } = makeApp({ store: failing });
    assert.equal((await call('/services/Delete', { prefix: 'a/' })).status, 503);
    assert.deepEqual(records.map(short), [
      ['write', 'Delete', 'a/1', 4, 'ok'],
      ['write', 'Delete', 'a/3', 5, 'ok'],
      ['write', 'Delete', undefined, undefined, 'unavailable'],
    ]);
  });

  it('has two records of an execution, before it runs and at its end', async () => {
    const { call, records } = makeApp();
    await call('/work/Do');
    await call('/work/Odd');
    await call('/work/Fail');
    await call('/work/Break');
    assert.equal(await (await call('/work/Stream')).text(), 'ab');
    await assert.rejects((await call('/work/BreakLater')).text());
    await (await call('/work/Stream')).body?.cancel();
    assert.deepEqual(
      records.map(({ event, method, outcome, status, call: number }) => [
        event,
        method,
        number,
        outcome,
        status,
      ]),
      [
        ['execution', 'Do', 1, 'begun', undefined],
        ['execution', 'Do', 1, 'ok', 200],
        ['execution', 'Odd', 2, 'begun', undefined],
        ['execution', 'Odd', 2, 'ok', 299],
        ['execution', 'Fail', 3, 'begun', undefined],
        ['execution', 'Fail', 3, 'extension_failed', 500],
        ['execution', 'Break', 4, 'begun', undefined],
        ['execution', 'Break', 4, 'internal', 500],
        ['execution', 'Stream', 5, 'begun', undefined],
        ['execution', 'Stream', 5, 'ok', 200],
        ['execution', 'BreakLater', 6, 'begun', undefined],
        ['execution', 'BreakLater', 6, 'extension_failed', 500],
        ['execution', 'Stream', 7, 'begun', undefined],
        ['execution', 'Stream', 7, 'gone', 200],
      ],
    );
  });

  it('has what a module writes in the name of its caller, and which method that was', async () => {
    const { call, records } = makeApp();
    await call('/work/Write', {}, { from: '192.0.2.7' });
    assert.deepEqual(
      records.map((record) => [record.event, record.outcome, record.source, record.entry, record.via]),
      [
        ['execution', 'begun', '192.0.2.7', undefined, undefined],
        ['write', 'ok', '192.0.2.7', 'by-module', 'work.Write'],
        ['execution', 'ok', '192.0.2.7', undefined, undefined],
      ],
    );
  });

  it('has a record of each refused caller, with the name of the key that was wrong', async () => {
    const { call, records, app } = makeApp({ metricsKey: KEY });
    const wrong = randomBytes(32).toString('hex');
    await call('/services/Get', { name: 'a' }, { key: wrong });
    await call('/services/Get', { name: 'a' }, { key: '' });
    await call('/services/Get', { name: 'a' }, { key: 'guess' });
    await call('/none/Method');
    await call('/work/_private');
    for (const page of ['/metrics', '/status'])
      await app.request(page, { headers: { authorization: `Bearer ${wrong}` } });
    await app.request('/work/Do', { method: 'POST', headers: { origin: 'https://elsewhere.example' } });
    await app.request('/services/Replace', {
      method: 'POST',
      body: '{',
      headers: { 'content-type': 'application/json' },
    });
    assert.deepEqual(
      records.map(({ event, module, method, entry, outcome, status }) => [
        event,
        module,
        method,
        entry,
        outcome,
        status,
      ]),
      [
        ['refusal', 'services', 'Get', 'a', 'access_denied', 401],
        ['refusal', 'services', 'Get', 'a', 'access_denied', 401],
        ['refusal', 'services', 'Get', 'a', 'access_denied', 401],
        ['refusal', 'none', 'Method', undefined, 'module_not_found', 404],
        ['refusal', 'work', '_private', undefined, 'forbidden', 403],
        ['refusal', '_metrics', '', undefined, 'access_denied', 401],
        ['refusal', '_status', '', undefined, 'access_denied', 401],
        ['refusal', 'work', 'Do', undefined, 'forbidden', 403],
        ['refusal', 'services', 'Replace', undefined, 'invalid_request', 400],
      ],
    );
    const [first, second, third] = records;
    assert.equal(first?.key, nameOf(wrong));
    assert.equal(records.find(({ module }) => module === '_status')?.key, nameOf(wrong));
    assert.equal(second?.key, undefined);
    assert.match(third?.key ?? '', /^mark:[0-9a-f]{8}$/);
  });

  it('has the id of the request, which its answer has too', async () => {
    const { call, records } = makeApp();
    const answers = [
      await call('/services/Replace', { name: 'a', data: 'x' }),
      await call('/services/Get', { name: 'a' }, { key: 'guess' }),
      await call('/work/Write'),
    ].map((answer) => answer.headers.get('x-request-id'));
    const [write, refusal, begun, within, ended] = records.map(({ request }) => request);
    assert.deepEqual([write, refusal, begun], answers);
    assert.deepEqual([within, ended], [begun, begun]);
    assert.match(write ?? '', /^[0-9a-f]{12}$/);
  });

  it('is as long as it may be, whatever a caller sends', async () => {
    const { call, records } = makeApp();
    await call('/services/Replace', { name: 'n'.repeat(100_000), data: 'x' });
    await call(`/${'m'.repeat(5000)}/${'m'.repeat(5000)}`);
    for (const record of records) assert.ok(JSON.stringify(record).length < 2000);
    assert.equal(records.length, 2);
  });

  it('is written before a call is answered', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const { call } = makeApp({ audit: () => held });
    let isAnswered = false;
    const answer = call('/services/Replace', { name: 'a', data: 'x' }).then((response) => {
      isAnswered = true;
      return response.status;
    });
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(isAnswered, false);
    release();
    assert.equal(await answer, 200);
  });

  it('that cannot be written holds up no call; it is said once and counted', async () => {
    const logged: string[] = [];
    const say = (message: string): void => void logged.push(message);
    let isFailing = true;
    const { call, app } = makeApp({
      audit() {
        if (isFailing) throw new Error('no room');
      },
      log: { debug: say, info: say, warn: say, error: say },
    });
    for (let i = 0; i < 3; i++)
      assert.equal((await call('/services/Replace', { name: 'a', data: 'x' })).status, 200);
    isFailing = false;
    await call('/services/Replace', { name: 'a', data: 'x' });
    assert.deepEqual(logged, ['the audit trail cannot be written', 'the audit trail is written again']);
    const samples = readExposition(await (await app.request('/metrics')).text());
    assert.equal(valueOf(samples, 'bpbroker_audit_lines_total'), 1);
    assert.equal(valueOf(samples, 'bpbroker_audit_lines_lost_total'), 3);
  });
});

/** What the trail calls a key that nobody can guess. */
function nameOf(key: string): string {
  return `sha256:${createHash('sha256').update(key).digest('hex').slice(0, 8)}`;
}
