import assert from 'node:assert/strict';
import { it } from 'node:test';
import { waitFor } from '../support/wait.ts';
import { answerOf, call, KEY, post, type Target } from './target.ts';
import { waits } from './waits.ts';

/**
 * The one suite that holds wherever the app is served (docs/runtimes.md). The app has the modules `ping`, `services` with the
 * access key {@link KEY}, and `greet`, one of its own. To be called in a `describe`; `find` is asked when a test runs.
 */
export function requests(find: () => Target): void {
  pages(find);
  entries(find);
  lists(find);
  keys(find);
  modules(find);
  waits(find);
}

function pages(find: () => Target): void {
  it('answers ping, with the address of the client', async () => {
    const target = find();
    const { clientAddress: src } = target;
    const posted = await post(target, '/ping/Ping', { data: { a: [1, 'ü'] } });
    assert.deepEqual(await posted.json(), { src, data: { a: [1, 'ü'] } });
    const got = await target.fetch('/ping/Ping/?data=h%C3%A9+llo');
    assert.deepEqual(await got.json(), { src, data: { _str: 'hé llo' } });
  });

  it('serves the pages of the app', async () => {
    const target = find();
    for (const path of ['', '/healthz', '/readyz']) {
      const response = await target.fetch(path);
      assert.equal(response.status, 200, path);
      assert.equal(response.headers.get('cache-control'), 'no-store');
      assert.equal(response.headers.get('location'), null);
      await response.text();
    }
  });

  it('answers 404 for other paths, and 405 for other methods', async () => {
    const target = find();
    // In the words of the app that it is mounted in.
    assert.equal((await target.fetch('/none')).status, 404);
    const put = await target.fetch('/ping/Ping', { method: 'PUT' });
    assert.equal(put.headers.get('allow'), 'GET, POST, DELETE');
    assert.deepEqual((await answerOf(put)).status, 405);
  });
}

function entries(find: () => Target): void {
  it('registers a name once', async () => {
    const target = find();
    const first = await call(target, 'Register', { name: 'one/db', data: { port: 5432 } });
    assert.deepEqual([first.status, first.success], [200, true]);
    const again = await call(target, 'Register', { name: 'one/db', data: 'other' });
    assert.deepEqual([again.status, again.code], [409, 'already_exists']);
    assert.equal(again.message, "Entry 'one/db' already exists");
  });

  it('returns an entry with the time and address of its last write', async () => {
    const target = find();
    const before = Math.floor(Date.now() / 1000) - 1;
    await call(target, 'Replace', { name: 'one/ü🎉', data: { ü: '🎉' } });
    const { status, data } = await call(target, 'Get', { name: 'one/ü🎉' });
    const { last_write_ts: written, ...rest } = data ?? {};
    assert.equal(status, 200);
    assert.deepEqual(rest, { last_write_ip: target.clientAddress, ü: '🎉' });
    assert.ok(Number(written) >= before && Number(written) <= Date.now() / 1000 + 1);
    const inQuery = `/services/Get?name=${encodeURIComponent('one/ü🎉')}&access_key=${KEY}`;
    assert.equal((await answerOf(await target.fetch(inQuery))).status, 200);
  });

  it('takes a form, as the clients of the original send it', async () => {
    const target = find();
    const body = new URLSearchParams({ name: 'one/form', data: 'a b&c', access_key: KEY });
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const response = await target.fetch('/services/Replace/', { method: 'POST', headers, body });
    assert.equal((await answerOf(response)).data?.['_str'], 'a b&c');
  });

  it('takes a body whose length is not told', async () => {
    const target = find();
    const parts = [`{"name": "one/parts", "data": "`, 'é'.repeat(50_000), `"}`];
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const part of parts) controller.enqueue(Buffer.from(part));
        controller.close();
      },
    });
    const init = { method: 'POST', headers, body, duplex: 'half' as const };
    assert.equal((await answerOf(await target.fetch('/services/Replace', init))).status, 200);
    assert.equal((await call(target, 'Get', { name: 'one/parts' })).data?.['_str'], parts[1]);
  });

  it('merges an update, and refuses one for another revision', async () => {
    const target = find();
    const { revision = 0 } = await call(target, 'Replace', { name: 'one/up', data: { a: { b: 1 } } });
    const update = { name: 'one/up', data: { a: { c: 2 } }, if_revision: revision };
    assert.equal((await call(target, 'Update', update)).status, 200);
    const late = await call(target, 'Update', update);
    assert.deepEqual([late.status, late.code], [409, 'revision_conflict']);
    assert.deepEqual((await call(target, 'Get', { name: 'one/up' })).data?.['a'], { b: 1, c: 2 });
  });

  it('deletes an entry, also by the method of that name', async () => {
    const target = find();
    await call(target, 'Replace', { name: 'one/gone', data: '' });
    const headers = { authorization: `Bearer ${KEY}` };
    const response = await target.fetch('/services/Delete?name=one/gone', { method: 'DELETE', headers });
    assert.equal((await answerOf(response)).status, 200);
    const gone = await call(target, 'Get', { name: 'one/gone' });
    assert.deepEqual([gone.status, gone.code], [404, 'not_found']);
  });

  it('accepts and returns data of 1 MiB, and refuses more', async () => {
    const target = find();
    // It is kept as {"_str":"…"}.
    const data = 'é'.repeat((1024 * 1024 - '{"_str":""}'.length - 1) / 2);
    assert.equal((await call(target, 'Replace', { name: 'one/long', data })).status, 200);
    assert.equal((await call(target, 'Get', { name: 'one/long' })).data?.['_str'], data);
    const more = await call(target, 'Replace', { name: 'one/longer', data: `${data}!!` });
    assert.deepEqual([more.status, more.code], [413, 'too_large']);
    await call(target, 'Delete', { name: 'one/long' });
  });

  it('ends an entry with its lifetime', async () => {
    const target = find();
    const { revision = 0 } = await call(target, 'Replace', { name: 'one/brief', data: 'x', ttl: '3s' });
    assert.equal((await call(target, 'Get', { name: 'one/brief' })).status, 200);
    await waitFor('its end', async () => (await call(target, 'Get', { name: 'one/brief' })).status === 404);
    const { data, revision: after = 0 } = await call(target, 'List', { prefix: 'one/brief' });
    assert.deepEqual([data?.['count'], after], [0, revision + 1]);
  });
}

function lists(find: () => Target): void {
  it('lists in pages, in the order of names', async () => {
    const target = find();
    const names = ['a', 'b', 'c', 'd', 'e'].map((letter) => `page/${letter}`);
    for (const name of names.toReversed()) await call(target, 'Replace', { name, data: 'x' });
    const found: string[] = [];
    let after: string | undefined;
    for (const size of [2, 2, 1]) {
      const { data } = await call(target, 'List', { prefix: 'page/', limit: 2, ...(after && { after }) });
      const { entries: page, count, next } = data as unknown as Page;
      assert.deepEqual([page.length, count], [size, 5]);
      found.push(...page.map(({ name }) => name));
      after = next;
    }
    assert.deepEqual([found, after], [names, undefined]);
  });

  it('returns a long page whole, though it makes it in parts', async () => {
    const target = find();
    const data = 'ü'.repeat(20_000);
    for (const n of [1, 2, 3, 4, 5]) await call(target, 'Replace', { name: `long/${n}`, data });
    const { entries: page } = (await call(target, 'List', { prefix: 'long/' })).data as unknown as Page;
    assert.deepEqual(
      page.map(({ name, data: { _str: text } }) => [name, text === data]),
      [1, 2, 3, 4, 5].map((n) => [`long/${n}`, true]),
    );
  });
}

interface Page {
  readonly entries: readonly { readonly name: string; readonly data: { readonly _str?: string } }[];
  readonly count: number;
  readonly next?: string;
}

function keys(find: () => Target): void {
  it('asks for the access key of a module, and for none where it has none', async () => {
    const target = find();
    const refused = await post(target, '/services/List', {}, '');
    assert.equal(refused.headers.get('www-authenticate'), 'Bearer');
    assert.deepEqual((await answerOf(refused)).code, 'access_denied');
    assert.equal((await answerOf(await post(target, '/services/List', {}, 'wrong'))).status, 401);
    assert.equal((await answerOf(await post(target, '/services/List', {}, KEY))).status, 200);
    assert.equal((await post(target, '/greet/Hello', { who: 'you' }, '')).status, 200);
  });

  it('refuses a page of another site', async () => {
    const target = find();
    const headers = { origin: 'https://elsewhere.example', authorization: `Bearer ${KEY}` };
    const response = await target.fetch('/services/Replace?name=one/x&data=y', { method: 'POST', headers });
    assert.equal((await answerOf(response)).code, 'forbidden');
  });
}

function modules(find: () => Target): void {
  it("calls the application's own module", async () => {
    const target = find();
    const greeting = await post(target, '/greet/Hello', { who: 'wörld' }, '');
    assert.deepEqual(await greeting.json(), { hello: 'wörld', at: target.clientAddress });
    const wrong = await answerOf(await post(target, '/greet/Hello', { whom: 'you' }, ''));
    assert.deepEqual([wrong.status, wrong.code], [400, 'invalid_request']);
    assert.equal((await answerOf(await post(target, '/greet/None', {}, ''))).code, 'not_found');
    assert.equal((await answerOf(await post(target, '/greet/_hidden', {}, ''))).code, 'forbidden');
    assert.equal((await answerOf(await post(target, '/none/Hello', {}, ''))).code, 'module_not_found');
  });
}
