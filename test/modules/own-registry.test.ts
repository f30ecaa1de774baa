import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Hono } from 'hono';
import * as v from 'valibot';
import { createApp, type CreateAppOptions } from '../../src/api/create-app.ts';
import { type Call, defineMethod, defineModule, jsonReply, type Module } from '../../src/modules/module.ts';
import type { JsonObject } from '../../src/protocol/formats/data.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import type { LogFields, Logger } from '../../src/protocol/logger.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { waitFor } from '../support/wait.ts';

/** A module of one method, which does what a test asks of its call. */
function moduleOf(run: (call: Call) => unknown): Module {
  return defineModule({
    Run: defineMethod({
      params: v.looseObject({}),
      run: async (_params, call) => jsonReply((await run(call)) ?? {}),
    }),
  });
}

function appOf(run: (call: Call) => unknown, options: Partial<CreateAppOptions> = {}): Hono {
  return createApp({
    store: memoryStore(),
    modules: { mine: moduleOf(run) },
    config: { mine: {}, services: { _access_key: 'only for callers from outside' } },
    clientAddress: () => '192.0.2.7',
    ...options,
  });
}

const ask = async (app: Hono): Promise<{ status: number; body: JsonObject }> => {
  const response = await app.request('/mine/Run', { method: 'POST' });
  return { status: response.status, body: (await response.json()) as JsonObject };
};

describe("the registry of a module's call", () => {
  it('needs no access key, and writes in the name of the caller', async () => {
    const app = appOf(async ({ registry }) => {
      await registry.register('a', { b: 1 }, { ttlMs: 60_000 });
      await registry.update('a', { c: [2, null] });
      const { revision } = await registry.get('a');
      await registry.replace('text', 'plain', { ifRevision: 0 });
      await registry.renew('a', { ifRevision: revision });
      const { data, lastWriteIp } = await registry.get('a');
      const { entries } = await registry.list();
      await registry.delete('a');
      return {
        data,
        lastWriteIp,
        names: entries.map(({ name }) => name),
        left: (await registry.list()).entries.length,
      };
    });
    assert.deepEqual(await ask(app), {
      status: 200,
      body: { data: { b: 1, c: [2, null] }, lastWriteIp: '192.0.2.7', names: ['a', 'text'], left: 1 },
    });
  });

  it('fails with the errors that a client gets, which fail the call unless they are caught', async () => {
    const app = appOf(async ({ registry }) => {
      await registry.register('a', 'b');
      await registry.register('a', 'c');
    });
    const { status, body } = await ask(app);
    assert.deepEqual(
      [status, body['code'], body['message']],
      [409, 'already_exists', "Entry 'a' already exists"],
    );
    const caught = appOf(({ registry }) =>
      registry.get('none').catch(({ code }: { code: string }) => ({ code })),
    );
    assert.deepEqual(await ask(caught), { status: 200, body: { code: 'not_found' } });
  });

  it('shares nothing with the module: neither what it writes nor what it reads can be changed later', async () => {
    const app = appOf(async ({ registry }) => {
      const data = { list: [1] };
      await registry.register('a', data);
      data.list.push(2);
      const read = (await registry.get('a')).data as { list: number[] };
      read.list.push(3);
      return { now: (await registry.get('a')).data };
    });
    assert.deepEqual((await ask(app)).body, { now: { list: [1] } });
  });

  it('writes and reads the keys that were given, also those with an escape', async () => {
    const store = memoryStore();
    const app = appOf(
      async ({ registry }) => {
        await registry.replace('a', { q: 1, '\\': 1 });
        await registry.replace('b', { q: 1, '\n': 1 });
        const { entries } = await registry.list();
        return { listed: entries.map(({ data }) => Object.keys(data as JsonObject)) };
      },
      { store },
    );
    const given = [
      ['q', '\\'],
      ['q', '\n'],
    ];
    assert.deepEqual((await ask(app)).body, { listed: given });
    const stored = (await store.list()).entries.map(({ data }) => Object.keys(data));
    assert.deepEqual(stored, given);
  });

  it('reads long entries, and lists of any length', async () => {
    const long = 'ä'.repeat(300_000);
    const app = appOf(async ({ registry }) => {
      for (let i = 0; i < 1200; i++) await registry.replace(`many/${i}`, 'x'.repeat(100));
      for (let i = 0; i < 20; i++) await registry.replace(`long/${i}`, long);
      const { data } = await registry.get('long/7');
      const lists = [await registry.list('many/'), await registry.list('long/')];
      const same = lists[1]?.entries.every((entry) => entry.data === long);
      return { isWhole: data === long, same, lengths: lists.map(({ entries }) => entries.length) };
    });
    assert.deepEqual((await ask(app)).body, { isWhole: true, same: true, lengths: [1200, 20] });
  });

  it('waits for entries that others write', async () => {
    const store = memoryStore();
    const waits = appOf(
      async ({ registry }) => {
        const { data } = await registry.waitFor('late', { timeoutMs: 30_000 });
        const { entries } = await registry.waitForCount(2, 'l', { timeoutMs: 30_000, entries: true });
        return { data, count: entries.length };
      },
      { store },
    );
    const writes = appOf(
      async ({ registry }) => {
        await registry.register('late', 'here');
        await registry.register('later', 'too');
      },
      { store },
    );
    const answer = ask(waits);
    await ask(writes);
    assert.deepEqual(await answer, { status: 200, body: { data: 'here', count: 2 } });
  });

  it('gives up waiting after its time limit', async () => {
    const app = appOf(({ registry }) => registry.waitFor('never', { timeoutMs: 120 }));
    const { status, body } = await ask(app);
    assert.deepEqual([status, body['code']], [504, 'timeout']);
  });

  const waiting: Record<string, (call: Call) => Promise<unknown>> = {
    'waitFor()': ({ registry }) => registry.waitFor('never'),
    'waitForCount()': ({ registry }) => registry.waitForCount(5),
    'waitFor() with a signal of its own': ({ registry }) =>
      registry.waitFor('never', { signal: new AbortController().signal }),
  };
  for (const [name, wait] of Object.entries(waiting)) {
    it(`stops waiting when the broker stops: ${name}`, async () => {
      const ending = new AbortController();
      const store = memoryStore();
      let state = 'not called';
      const run = async (call: Call): Promise<void> => {
        state = 'waits';
        await wait(call).finally(() => (state = 'over'));
      };
      const answer = ask(appOf(run, { store, signal: ending.signal }));
      await waitFor('the call to wait', () => state === 'waits');
      // As a broker ends its calls: what may pass elsewhere must not be waited for here.
      ending.abort(new BrokerError('unavailable', 'The broker is stopping'));
      const { status, body } = await answer;
      assert.deepEqual([status, body['message'], state], [503, 'The broker is stopping', 'over']);
    });

    it(`stops waiting when the caller has gone: ${name}`, async () => {
      const gone = new AbortController();
      let state = 'not called';
      const app = appOf(async (call) => {
        state = 'waits';
        await wait(call).finally(() => (state = 'over'));
      });
      const answer = app.request('/mine/Run', { method: 'POST', signal: gone.signal });
      await waitFor('the call to wait', () => state === 'waits');
      gone.abort();
      await answer;
      assert.equal(state, 'over');
    });
  }

  it('stops waiting with a signal of the module', async () => {
    const app = appOf(async ({ registry }) => {
      const enough = new AbortController();
      const wait = registry.waitFor('never', { signal: enough.signal });
      enough.abort(new Error('enough'));
      return { told: await wait.catch((error: Error) => error.message) };
    });
    assert.deepEqual((await ask(app)).body, { told: 'enough' });
  });

  it('keeps the connection of its caller open while it waits', async () => {
    const told: string[] = [];
    const connection = {
      remoteAddress: '192.0.2.9',
      awaitBody: () => undefined,
      keepOpen: () => told.push('open'),
      answered: () => told.push('answered'),
      drop: () => undefined,
    };
    const app = createApp({
      store: memoryStore(),
      modules: { mine: moduleOf(({ registry }) => registry.waitFor('never', { timeoutMs: 120 })) },
      config: { mine: {} },
    });
    // The environment that our own server hands to the app.
    await app.request('/mine/Run', { method: 'POST' }, { connection });
    assert.deepEqual([told[0], told.at(-1)], ['open', 'answered']);
  });
});

describe("the log of a module's call", () => {
  it("is the broker's, with the module's name and the request's id in the fields", async () => {
    const lines: [string, string, LogFields | undefined][] = [];
    const at =
      (level: string): Logger['info'] =>
      (message, fields) =>
        void lines.push([level, message, fields]);
    const log: Logger = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
    const app = appOf(
      (call) => {
        call.log.debug('one');
        call.log.info('two', { name: 'a' });
        call.log.warn('three');
        call.log.error('four');
      },
      { log },
    );
    await ask(app);
    const request = lines[0]?.[2]?.['request'];
    assert.match(String(request), /^[0-9a-f]{12}$/);
    const added = { module: 'mine', request };
    assert.deepEqual(lines, [
      ['debug', 'one', added],
      ['info', 'two', { ...added, name: 'a' }],
      ['warn', 'three', added],
      ['error', 'four', added],
    ]);
  });

  it('never fails the call, whatever the logger does', async () => {
    const fail = (): never => {
      throw new Error('no room for a log');
    };
    const log: Logger = { debug: fail, info: fail, warn: fail, error: fail };
    const app = appOf((call) => call.log.info('one'), { log });
    assert.equal((await ask(app)).status, 200);
  });
});
