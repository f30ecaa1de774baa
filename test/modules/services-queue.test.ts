import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Call, Module } from '../../src/modules/module.ts';
import { createServices } from '../../src/modules/services/services.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import { silentLogger } from '../../src/protocol/logger.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { Store } from '../../src/store/store.ts';
import { put, remove } from '../store/support.ts';
import { waitFor } from '../support/wait.ts';

function callWith(params: Call['params'], signal: AbortSignal): Call {
  return {
    params,
    httpMethod: 'POST',
    clientAddress: '127.0.0.1',
    requestId: 'r1',
    signal,
    log: silentLogger,
    get registry(): never {
      throw new Error('not asked for');
    },
    header: () => undefined,
    keepOpen: () => undefined,
    drop: () => undefined,
  };
}

/** A client that asks for the name `lock`. */
interface Asker {
  /** What it got: the revision of its entry, or why not. */
  readonly outcome: Promise<number | string>;
  /** Its connection breaks. */
  leave(): void;
}

function asker(services: Module, params: Call['params'], order?: string[]): Asker {
  const connection = new AbortController();
  const { data = 'x' } = params as { data?: string };
  const answer = Promise.resolve(
    services.call('Register', callWith({ name: 'lock', data, ...params }, connection.signal)),
  );
  const outcome = answer.then(
    ({ body }) => {
      assert.equal(typeof body, 'string');
      order?.push(data);
      return (JSON.parse(body as string) as { revision: number }).revision;
    },
    (error: unknown) => (error instanceof BrokerError ? error.code : String(error)),
  );
  return { outcome, leave: () => connection.abort(new Error('gone')) };
}

const held = async (): Promise<{ store: Store; services: Module }> => {
  const store = memoryStore();
  await store.mutate('lock', put('first'));
  return { store, services: createServices(store) };
};

const holderOf = async (store: Store): Promise<unknown> => (await store.get('lock'))?.data['_str'];

/**
 * Runs a test while the queue keeps places (its timers of 1 s) for a minute: a busy machine may stop the process for
 * longer than 1 s. Meanwhile a client that asks again would lose its place.
 */
async function keepingPlaces(test: () => Promise<void>): Promise<void> {
  const real = globalThis.setTimeout;
  globalThis.setTimeout = ((run: () => void, ms: number, ...given: []) =>
    real(run, ms === 1000 ? 60_000 : ms, ...given)) as unknown as typeof setTimeout;
  try {
    await test();
  } finally {
    globalThis.setTimeout = real;
  }
}

describe('services.Register with wait', () => {
  it('is answered at once where the name is free, and holds nobody up afterwards', async () => {
    const store = memoryStore();
    const services = createServices(store);
    assert.equal(typeof (await asker(services, { wait: '10s' }).outcome), 'number');
    await store.mutate('lock', remove);
    assert.equal(typeof (await asker(services, {}).outcome), 'number');
  });

  it('leaves nothing behind of a request whose client had gone before it began to wait', async () => {
    const store = memoryStore();
    const services = createServices(store);
    const params = { name: 'lock', data: 'x', wait: '10s' };
    await assert.rejects(
      async () => services.call('Register', callWith(params, AbortSignal.abort(new Error('gone')))),
      /gone/,
    );
    assert.equal(typeof (await asker(services, {}).outcome), 'number');
  });

  it('lets waiting clients have the name in the order of asking, one at a time', async () => {
    const { store, services } = await held();
    const order: string[] = [];
    const names = Array.from({ length: 20 }, (_, i) => `w${i}`);
    const waiting = names.map((data) => asker(services, { data, wait: '30s' }, order));
    for (let i = 0; i < names.length; i++) {
      await store.mutate('lock', remove);
      await waitFor('the next holder', () => order.length > i);
      assert.equal(await holderOf(store), names[i]);
    }
    assert.deepEqual(order, names);
    const revisions = (await Promise.all(waiting.map(({ outcome }) => outcome))) as number[];
    assert.deepEqual(
      revisions,
      revisions.toSorted((a, b) => a - b),
    );
  });

  it('serves a client that has waited longer, by earlier requests, before the first to come to this broker', async () => {
    const { store, services } = await held();
    const order: string[] = [];
    for (const [data, waited] of [
      ['new', '0ms'],
      ['older', '20s'],
      ['oldest', '1m'],
    ] as const)
      void asker(services, { data, wait: '30s', waited }, order);
    for (let i = 1; i <= 3; i++) {
      await store.mutate('lock', remove);
      await waitFor('the next holder', () => order.length === i);
    }
    assert.deepEqual(order, ['oldest', 'older', 'new']);
  });

  it('keeps the place of a client whose request has ended, and that asks again with its ticket', () =>
    keepingPlaces(async () => {
      const { store, services } = await held();
      const order: string[] = [];
      const early = asker(services, { data: 'early', wait: '50ms', ticket: 't1' }, order);
      const behind = asker(services, { data: 'behind', wait: '30s', ticket: 't2' }, order);
      assert.equal(await early.outcome, 'already_exists');
      await store.mutate('lock', remove);
      await sleep(50);
      assert.equal(await holderOf(store), undefined, 'it waits for the one whose turn it is');
      void asker(services, { data: 'early', wait: '30s', ticket: 't1', waited: '50ms' }, order);
      await waitFor('the holder', () => order.length > 0);
      assert.deepEqual(order, ['early']);
      behind.leave();
    }));

  it('keeps no place for long for a client that does not ask again, and none for one that has gone', async () => {
    const { store, services } = await held();
    const order: string[] = [];
    const silent = asker(services, { data: 'silent', wait: '50ms', ticket: 't1' }, order);
    assert.equal(await silent.outcome, 'already_exists');
    const dead = asker(services, { data: 'dead', wait: '30s', ticket: 't2' }, order);
    const next = asker(services, { data: 'next', wait: '30s', ticket: 't3' }, order);
    dead.leave();
    assert.match(String(await dead.outcome), /gone/);
    await store.mutate('lock', remove);
    assert.equal(typeof (await next.outcome), 'number');
    assert.deepEqual(order, ['next']);
  });

  it('keeps none for a client that says that it does not ask again', async () => {
    const { store, services } = await held();
    const last = asker(services, { wait: '50ms', ticket: 't1', final: true });
    const next = asker(services, { data: 'next', wait: '30s', ticket: 't2' });
    assert.equal(await last.outcome, 'already_exists');
    const { revision } = await store.mutate('lock', remove);
    assert.equal(await next.outcome, revision + 1);
    assert.equal(await holderOf(store), 'next');
  });

  it('takes the name back from a client that went at that moment', async () => {
    const store = memoryStore();
    const slow: Store = {
      ...store,
      get revision() {
        return store.revision;
      },
      async mutate(name, mutation, guard) {
        const result = await store.mutate(name, mutation, guard);
        await sleep(30);
        return result;
      },
    };
    const services = createServices(slow);
    const gone = asker(services, { data: 'gone', wait: '30s' });
    await waitFor('its entry', async () => (await store.get('lock')) !== undefined);
    gone.leave();
    const next = asker(services, { data: 'next', wait: '30s' });
    assert.equal(typeof (await next.outcome), 'number');
    assert.equal(await holderOf(store), 'next');
  });

  it('holds no more than so much of the data of waiting clients, and accepts more once some have gone', async () => {
    const { store, services } = await held();
    const data = 'x'.repeat(1_000_000);
    const waiting = Array.from({ length: 20 }, () => asker(services, { data, wait: '30s' }));
    const refused = waiting.slice(16).map(({ outcome }) => outcome);
    assert.deepEqual(await Promise.all(refused), Array(4).fill('too_many_requests'));
    waiting[0]?.leave();
    await waiting[0]?.outcome;
    const another = asker(services, { data, wait: '30s' });
    for (const one of waiting.slice(1, 16)) one.leave();
    await store.mutate('lock', remove);
    assert.equal(typeof (await another.outcome), 'number');
  });

  it('lets no client in before them that does not wait', () =>
    keepingPlaces(async () => {
      const { store, services } = await held();
      const order: string[] = [];
      const first = asker(services, { data: 'early', wait: '50ms', ticket: 't1' }, order);
      await first.outcome;
      await store.mutate('lock', remove);
      assert.equal(await asker(services, { data: 'pushy' }, order).outcome, 'already_exists');
      void asker(services, { data: 'early', wait: '30s', ticket: 't1' }, order);
      await waitFor('the holder', () => order.length > 0);
      assert.deepEqual(order, ['early']);
    }));

  it('goes on when an entry ends by itself, and through changes that free nothing', async () => {
    const store = memoryStore();
    await store.mutate('lock', put('mortal', 300));
    const services = createServices(store);
    const next = asker(services, { data: 'next', wait: '30s' });
    for (let i = 0; i < 5; i++) await store.mutate('lock', put(`mortal ${i}`, 300));
    assert.equal(typeof (await next.outcome), 'number');
    assert.equal(await holderOf(store), 'next');
  });

  it('ends with already_exists when the wait has ended, and with unavailable when the broker stops', async () => {
    const { store, services } = await held();
    assert.equal(await asker(services, { wait: '30ms' }).outcome, 'already_exists');
    const waiting = [1, 2, 3].map(() => asker(services, { wait: '30s' }));
    await sleep(20);
    await store.close();
    for (const { outcome } of waiting) assert.equal(await outcome, 'unavailable');
  });

  it('has no meaning beside if_same and a lock', async () => {
    const { services } = await held();
    for (const more of [{ if_same: true }, { lock: 'a', lock_revision: 1 }])
      assert.equal(await asker(services, { wait: '1s', ...more }).outcome, 'invalid_request');
  });
});

describe('a write with lock and lock_revision', () => {
  const call = async (services: Module, method: string, params: Call['params']): Promise<string> => {
    try {
      await services.call(method, callWith(params, new AbortController().signal));
      return 'done';
    } catch (error) {
      return error instanceof BrokerError ? error.code : String(error);
    }
  };
  const writes = (lock: object): [string, Call['params']][] => [
    ['Register', { name: `made ${Math.random()}`, data: 'x', ...lock }],
    ['Replace', { name: 'foo', data: 'x', ...lock }],
    ['Update', { name: 'foo', data: { a: 1 }, ...lock }],
    ['Delete', { name: 'foo', ...lock }],
  ];

  it('counts while the lock is at that revision, and not once it is gone, or another holder has it', async () => {
    const { store, services } = await held();
    const { revision } = (await store.get('lock')) ?? assert.fail();
    const lock = { lock: 'lock', lock_revision: revision };
    for (const [method, params] of writes(lock)) assert.equal(await call(services, method, params), 'done');
    await store.mutate('lock', remove);
    for (const [method, params] of writes(lock))
      assert.equal(await call(services, method, params), 'revision_conflict', method);
    await store.mutate('lock', put('another'));
    for (const [method, params] of writes(lock))
      assert.equal(await call(services, method, params), 'revision_conflict', method);
    assert.equal(await store.get('foo'), undefined);
  });

  it('needs both, and is not for the entry of the lock itself', async () => {
    const { services } = await held();
    for (const lock of [{ lock: 'lock' }, { lock_revision: 1 }])
      for (const [method, params] of writes(lock))
        assert.equal(await call(services, method, params), 'invalid_request');
    const own = { name: 'lock', data: 'x', lock: 'lock', lock_revision: 1 };
    assert.equal(await call(services, 'Replace', own), 'invalid_request');
  });
});
