import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Hono } from 'hono';
import { createApp, type CreateAppOptions } from '../../src/api/create-app.ts';
import { silentLogger } from '../../src/protocol/logger.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';

type Config = NonNullable<CreateAppOptions['config']>;

function appWith(options: Partial<CreateAppOptions> = {}): Hono {
  return createApp({ store: memoryStore(), ...options });
}

async function post(app: Hono, path: string, params: object, key?: string): Promise<Response> {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (key !== undefined) headers['authorization'] = `Bearer ${key}`;
  return await app.request(path, { method: 'POST', headers, body: JSON.stringify(params) });
}

describe('createApp()', () => {
  it('serves the registry without a server, a file or an environment', async () => {
    const app = appWith();
    assert.equal((await post(app, '/services/Register', { name: 'foo', data: { a: 1 } })).status, 200);
    assert.equal((await post(app, '/services/Register', { name: 'foo', data: 'b' })).status, 409);
    const answer = (await (await app.request('/services/Get?name=foo')).json()) as {
      data: { a: number; last_write_ip: string };
    };
    assert.equal(answer.data.a, 1);
    assert.equal(answer.data.last_write_ip, '');
    const ready = await app.request('/readyz');
    assert.equal(ready.status, 200);
    assert.match(await ready.text(), /"registry":\{"ok":true,"bytes":\d+,"max_bytes":134217728\}/);
  });

  it('records the address that clientAddress tells, an IPv4 one in its plain form', async () => {
    const app = appWith({ clientAddress: (c) => c.req.header('x-real-ip') ?? '' });
    const headers = { 'x-real-ip': '::ffff:192.0.2.7' };
    await app.request('/services/Register?name=foo&data=bar', { method: 'POST', headers });
    assert.match(
      await (await app.request('/services/Get?name=foo')).text(),
      /"last_write_ip":"192\.0\.2\.7"/,
    );
  });

  it('takes nothing for a server that has the name of one in the environment', async () => {
    const app = appWith();
    for (const env of [{ connection: {} }, { server: 'a', timeout: '30', requestIP: 'b', incoming: 'c' }]) {
      const answer = await app.fetch(new Request('http://app.test/services/Get?name=foo&wait=100ms'), env);
      assert.equal(answer.status, 404);
    }
  });

  it('asks for the access keys of its config', async () => {
    const config = { services: { _access_key: ['old', 'new'] } };
    const app = appWith({ config });
    assert.equal((await post(app, '/services/List', {})).status, 401);
    assert.equal((await post(app, '/services/List', {}, 'wrong')).status, 401);
    assert.equal((await post(app, '/services/List', {}, 'new')).status, 200);
  });

  it('never lets the wrong keys of some clients keep out others when no address is known', async () => {
    const app = appWith({ config: { services: { _access_key: 'right' } } });
    for (let i = 0; i < 30; i++) assert.equal((await post(app, '/services/List', {}, 'wrong')).status, 401);
    assert.equal((await post(app, '/services/List', {}, 'right')).status, 200);
    const told = appWith({
      config: { services: { _access_key: 'right' } },
      clientAddress: () => '192.0.2.1',
    });
    for (let i = 0; i < 10; i++) assert.equal((await post(told, '/services/List', {}, 'wrong')).status, 401);
    assert.equal((await post(told, '/services/List', {}, 'right')).status, 429);
  });

  it('allows each address its own event streams, and all without an address the overall number', async () => {
    const open = async (app: Hono, count: number): Promise<Response[]> =>
      Promise.all(Array.from({ length: count }, async () => app.request('/services/Watch')));
    const told = await open(appWith({ clientAddress: () => '192.0.2.1' }), 65);
    const nobody = await open(appWith(), 65);
    assert.equal(told.filter(({ status }) => status === 429).length, 1);
    assert.equal(nobody.filter(({ status }) => status === 429).length, 0);
    for (const { body } of [...told, ...nobody]) await body?.cancel();
  });

  for (const when of ['later', 'before'] as const)
    it(`answers waiting clients 503 where its signal is aborted ${when}, and ends streams`, async () => {
      const failures: string[] = [];
      const log = { ...silentLogger, error: (message: string) => failures.push(message) };
      const ending = new AbortController();
      if (when === 'before') ending.abort();
      const app = appWith({ signal: ending.signal, log });
      await post(app, '/services/Register', { name: 'held', data: 'a' });
      const waiting = Promise.all([
        post(app, '/services/Get', { name: 'none', wait: '30s' }),
        post(app, '/services/List', { wait: '30s', wait_count: 5 }),
        post(app, '/services/Register', { name: 'held', data: 'b', wait: '30s' }),
      ]);
      const watch = await app.request('/services/Watch');
      const read = watch.text().catch(() => 'broken off');
      ending.abort();
      for (const answer of await waiting) {
        const { code } = (await answer.json()) as { code: string };
        assert.deepEqual([answer.status, code], [503, 'unavailable']);
      }
      await read;
      assert.deepEqual(failures, []);
    });

  it('mounts under a path of another app, twice, each with a registry of its own', async () => {
    const outer = new Hono();
    outer.route('/one', appWith());
    outer.route('/deep/two', appWith());
    await post(outer, '/one/services/Register', { name: 'foo', data: 'bar' });
    assert.equal((await outer.request('/one/services/Get?name=foo')).status, 200);
    assert.equal((await outer.request('/deep/two/services/Get?name=foo')).status, 404);
    assert.equal((await outer.request('/deep/two/healthz')).status, 200);
  });

  const wrong: Record<string, [unknown, RegExp]> = {
    'no store': [{}, /createApp: the option 'store' is missing/],
    'a path for a store': [{ store: './data' }, /the option 'store' is "\.\/data"; expected a store/],
    'options of the process': [
      { store: memoryStore(), config: { api: { listen_port: 1 } } },
      /'config\.api' has no meaning here/,
    ],
    'options of the store': [
      { store: memoryStore(), config: { _store: { max_bytes: 1 } } },
      /'config\._store' has no meaning here/,
    ],
    'a module that is no object': [
      { store: memoryStore(), config: { ping: true } as unknown as Config },
      /createApp: config: option ping: /,
    ],
    'a key that guards nothing': [
      { store: memoryStore(), config: { services: { access_key: 'secret' } } },
      /services\.access_key guards nothing/,
    ],
    'a module named as one that is built in': [
      { store: memoryStore(), modules: { ping: { call: () => ({ body: '' }) } } },
      /Module 'ping' is built in/,
    ],
  };
  for (const [what, [options, message]] of Object.entries(wrong)) {
    it(`refuses ${what}`, () => {
      assert.throws(() => createApp(options as CreateAppOptions), { code: 'invalid_config', message });
    });
  }
});
