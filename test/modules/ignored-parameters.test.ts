import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createApp } from '../../src/api/create-app.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';

const app = createApp({ store: memoryStore() });

async function call(method: string, params: object, headers = {}): Promise<[number, string]> {
  const response = await app.request(`/services/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(params),
  });
  const { message } = (await response.json()) as { message: string };
  return [response.status, message];
}

const withoutWait = "without 'wait': give how long to wait, such as '30s'";
const entry = { name: 'foo', data: 'bar' };

/** A call that says something which has no meaning beside the rest of it, and why. */
const cases: readonly (readonly [method: string, params: object, parameter: string, why: string])[] = [
  ['Register', { ...entry, waited: '5s' }, 'waited', withoutWait],
  ['Register', { ...entry, ticket: 't' }, 'ticket', withoutWait],
  ['Register', { ...entry, final: true }, 'final', withoutWait],
  ['Register', { ...entry, final: false }, 'final', withoutWait],
  ['Register', { ...entry, wait: '1s', if_same: true }, 'wait', "beside 'if_same'"],
  ['Register', { ...entry, wait: '1s', lock: 'l', lock_revision: 1 }, 'wait', "beside 'lock'"],
  ['List', { wait_count: 2 }, 'wait_count', withoutWait],
  ['List', { entries: false, limit: 5 }, 'limit', "where 'entries' is false: the answer has no page"],
  ['List', { entries: false, after: 'a' }, 'after', "where 'entries' is false: the answer has no page"],
  ['Delete', { name: 'foo', after: 'a' }, 'after', "without 'prefix'"],
];

describe('a parameter that has no meaning beside the others', () => {
  for (const [method, params, parameter, why] of cases) {
    it(`is refused, not ignored: ${method} ${JSON.stringify(params)}`, async () => {
      assert.deepEqual(await call(method, params), [400, `Parameter '${parameter}' has no meaning ${why}`]);
    });
  }

  it('has one where its wait is 0, as that of a client whose time is over', async () => {
    const asked = { ...entry, wait: '0ms', waited: '3s', ticket: 't', final: true };
    assert.equal((await call('Register', asked))[0], 200);
    assert.equal((await call('Register', asked))[0], 409);
    assert.equal((await call('List', { wait: 0, wait_count: 9 }))[0], 200);
  });
});

describe('Register with if_same', () => {
  const store = memoryStore();
  const registry = createApp({ store });
  const register = async (params: object): Promise<number> => {
    const { status } = await registry.request('/services/Register', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ name: 'web1', data: { a: 1 }, ...params }),
    });
    return status;
  };
  const present = async (): Promise<[ttlMs: number | undefined, revision: number | undefined]> => {
    const { ttlMs, revision } = (await store.get('web1')) ?? {};
    return [ttlMs, revision];
  };

  it('gives an equal entry the lifetime that it names, and renews it where that is its own', async () => {
    assert.equal(await register({}), 200);
    assert.equal(await register({ ttl: '30s', if_same: true }), 200);
    assert.deepEqual(await present(), [30_000, 2]);
    assert.equal(await register({ ttl: 30, if_same: true }), 200);
    assert.deepEqual(await present(), [30_000, 2]);
    assert.equal(await register({ ttl: '1h', if_same: true }), 200);
    assert.deepEqual(await present(), [3_600_000, 3]);
  });

  it('leaves an equal entry its lifetime where it names none, and another entry alone', async () => {
    assert.equal(await register({ if_same: true }), 200);
    assert.deepEqual(await present(), [3_600_000, 3]);
    assert.equal(await register({ data: 'other', ttl: '30s', if_same: true }), 409);
    assert.deepEqual(await present(), [3_600_000, 3]);
  });
});

describe('a watch that is resumed', () => {
  it('goes on behind the event of its header, also where its first request began earlier', async () => {
    const store = memoryStore();
    const watched = createApp({ store });
    const headers = { 'content-type': 'application/json' };
    for (const name of ['a', 'b', 'c'])
      await watched.request('/services/Replace', {
        method: 'POST',
        headers,
        body: JSON.stringify({ name, data: 'x' }),
      });
    const ending = new AbortController();
    const response = await watched.request('/services/Watch?after=1', {
      headers: { 'last-event-id': '2' },
      signal: ending.signal,
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    while (!text.includes('"name":"c"') && !text.includes('"name": "c"'))
      text += (await reader?.read())?.value;
    ending.abort();
    await reader?.cancel();
    assert.deepEqual(
      [...text.matchAll(/^id: ?(\d+)/gm)].map(([, id]) => id),
      ['2', '3'],
      text,
    );
  });
});
