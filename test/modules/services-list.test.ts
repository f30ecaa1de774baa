import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Call } from '../../src/modules/module.ts';
import { silentLogger } from '../../src/protocol/logger.ts';
import { createServices } from '../../src/modules/services/services.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { ListOptions, Store } from '../../src/store/store.ts';
import { put, remove } from '../store/support.ts';

/** A store that tells how often it was asked for a list, and for a count. */
function tallying(store: Store): { store: Store; asked: { lists: number; counts: number } } {
  const asked = { lists: 0, counts: 0 };
  return {
    asked,
    store: {
      ...store,
      get revision() {
        return store.revision;
      },
      count(prefix) {
        asked.counts++;
        return store.count(prefix);
      },
      list(options?: ListOptions) {
        asked.lists++;
        return store.list(options);
      },
    },
  };
}

function callWith(params: Call['params']): { call: Call; kept: { open: boolean } } {
  const kept = { open: false };
  const call: Call = {
    params,
    httpMethod: 'POST',
    clientAddress: '127.0.0.1',
    requestId: 'r1',
    signal: new AbortController().signal,
    log: silentLogger,
    get registry(): never {
      throw new Error('not asked for');
    },
    header: () => undefined,
    keepOpen: () => (kept.open = true),
    drop: () => undefined,
  };
  return { call, kept };
}

interface Listed {
  readonly data: { readonly count: number; readonly entries: readonly { readonly name: string }[] };
  readonly revision: number;
}

async function bodyOf(reply: { readonly body: unknown }): Promise<Listed> {
  const { body } = reply;
  if (typeof body === 'string') return JSON.parse(body) as Listed;
  if (body instanceof Uint8Array) return JSON.parse(new TextDecoder().decode(body)) as Listed;
  let text = '';
  const decoder = new TextDecoder();
  for await (const part of body as AsyncIterable<Uint8Array>) text += decoder.decode(part, { stream: true });
  return JSON.parse(text) as Listed;
}

describe('services.List', () => {
  it('waits through changes that do not meet its number', async () => {
    const store = memoryStore();
    for (let i = 0; i < 20; i++) await store.mutate(`a/${i}`, put('x'));
    const { call, kept } = callWith({ prefix: 'a/', wait: '60s', wait_count: 45 });
    const answer = Promise.resolve(createServices(store).call('List', call));
    for (let i = 20; i < 44; i++) await store.mutate(`a/${i}`, put('x'));
    // Neither a change of what is counted already, nor one elsewhere, nor one that is taken back.
    await store.mutate('a/3', put('y'));
    await store.mutate('b', put('x'));
    await store.mutate('a/0', remove);
    await store.mutate('a/44', put('x'));
    await store.mutate('a/45', put('x'));
    const { data } = await bodyOf(await answer);
    assert.equal(data.count, 45);
    assert.equal(data.entries.length, 45);
    assert.ok(kept.open);
  });

  it('answers a barrier of many with one list, one count and one text', async () => {
    const { store, asked } = tallying(memoryStore());
    const services = createServices(store);
    const answers = Array.from({ length: 500 }, async () =>
      services.call('List', callWith({ prefix: 'node/', wait: '60s', wait_count: 1000 }).call),
    );
    for (let i = 0; i < 1000; i++) await store.mutate(`node/${i}`, put({ port: i }));
    const replies = await Promise.all(answers);
    // One turn of the event loop after another; the state does not change meanwhile.
    assert.deepEqual(asked, { lists: 1, counts: 1 });
    for (const reply of replies) assert.equal((await bodyOf(reply)).data.entries.length, 1000);
  });

  it('leaves the entries out where the count alone is asked for', async () => {
    const { store, asked } = tallying(memoryStore());
    const services = createServices(store);
    const waiting = services.call(
      'List',
      callWith({ prefix: 'a/', wait: '60s', wait_count: 2, entries: false }).call,
    );
    for (let i = 0; i < 2; i++) await store.mutate(`a/${i}`, put('x'));
    const { data, revision } = await bodyOf(await waiting);
    assert.deepEqual([data, revision], [{ entries: [], count: 2 }, 2]);
    const now = await services.call('List', callWith({ entries: 'false' }).call);
    assert.deepEqual((await bodyOf(now)).data, { entries: [], count: 2 });
    assert.equal(asked.lists, 0);
  });

  it('returns the present state to a request after a change, whatever is still being read', async () => {
    const store = memoryStore();
    const services = createServices(store);
    const list = async (): Promise<Listed> =>
      bodyOf(await services.call('List', callWith({ prefix: '' }).call));
    await store.mutate('a', put('1'));
    const [before, write] = await Promise.all([list(), store.mutate('b', put('2')), list()]);
    assert.ok(before.revision <= write.revision);
    const { data, revision } = await list();
    assert.deepEqual([data.entries.map(({ name }) => name), revision], [['a', 'b'], write.revision]);
  });

  it('is counted at the revision that it tells, also where the registry changes while it is counted', async () => {
    for (const entries of [true, false]) {
      const store = memoryStore();
      for (let n = 1000; n < 6000; n++) await store.mutate(`n${n}`, put('x'));
      const page = entries ? { limit: 1 } : { entries };
      const answer = createServices(store).call('List', callWith({ prefix: 'n', ...page }).call);
      // Counted already, and still to come.
      for (const name of ['n0', 'n9']) await store.mutate(name, put('x'));
      const { data, revision } = await bodyOf(await answer);
      assert.deepEqual([data.count, revision], [5002, 5002]);
      await store.close();
    }
  });
});
