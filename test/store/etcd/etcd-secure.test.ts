import { runtime } from '#runtime';
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  etcdStore,
  type EtcdStore,
  type EtcdFetch,
  type EtcdStoreOptions,
} from '../../../src/store/etcd/etcd-store.ts';
import { type Authority, createAuthority, type LeafPair } from '../../support/network/authority.ts';
import { askEtcd, type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';
import { interceptedFetch, newPrefix, openEtcd } from './etcd-support.ts';
import { put, remove, take } from '../support.ts';

const skip = lacking('etcd');

const open: EtcdStore[] = [];
after(async () => {
  await Promise.all(open.map((store) => store.close()));
});

async function openHere(options: EtcdStoreOptions): Promise<EtcdStore> {
  const store = await openEtcd(options);
  open.push(store);
  return store;
}

/** Opens one that must not open; returns why. */
async function refusal(options: EtcdStoreOptions): Promise<{ code: string; message: string }> {
  const store = etcdStore({ timeoutMs: 5000, ...options });
  try {
    return await store.ready().then(
      () => assert.fail('it was opened'),
      (error: { code: string; message: string }) => error,
    );
  } finally {
    await store.close();
  }
}

describe('an etcd that asks who is there', { skip, timeout: 120_000 }, () => {
  let cluster: EtcdCluster;
  let authority: Authority;
  let client: LeafPair;

  before(async () => {
    authority = await createAuthority('authority of etcd');
    // The members' gateway shows it to the member itself, as a client.
    const member = await authority.sign({ ips: ['127.0.0.1'], isClient: true });
    client = await authority.sign({ names: ['a-broker'], isClient: true });
    const secured = await runtime.openFetch({ authorities: [authority.cert], ...client });
    const { fetch } = secured;
    cluster = await startEtcd({ tls: { ...member, ca: authority.cert }, fetch });
  });

  it('learns the caller from a client certificate, and is believed by its authority', async () => {
    const { fetch, close } = await runtime.openFetch({ authorities: [authority.cert], ...client });
    const store = await openHere({ endpoints: cluster.endpoints, prefix: newPrefix(), fetch });
    const watch = store.watch();
    const { entry } = await store.mutate('foo', put('x'));
    assert.deepEqual(await store.get('foo'), entry);
    const [item] = await take(watch, 1);
    assert.equal(item?.revision, entry?.revision);
    await store.close();
    close();
  });

  it('refuses clients without a certificate, and is refused without its authority', async () => {
    const { endpoints } = cluster;
    const stranger = await runtime.openFetch({ authorities: [authority.cert] });
    assert.equal((await refusal({ endpoints, fetch: stranger.fetch })).code, 'unavailable');
    const other = await createAuthority('another');
    const wary = await runtime.openFetch({ authorities: [other.cert], ...client });
    let asked = 0;
    const counting = interceptedFetch((_, __, pass) => {
      asked++;
      return pass();
    }, wary.fetch);
    const { code, message } = await refusal({ endpoints, fetch: counting });
    assert.equal(code, 'unavailable');
    assert.match(message, /certificate|self.signed|issuer/i);
    assert.ok(asked > 0);
  });
});

describe('an etcd with users', { skip, timeout: 60_000 }, () => {
  let cluster: EtcdCluster;
  const prefix = newPrefix();
  let tokens: string[] = [];

  const seeing: EtcdStoreOptions['fetch'] = (url, init) => {
    const { authorization } = init.headers as { authorization?: string };
    if (authorization !== undefined) tokens.push(authorization);
    return fetch(url, init);
  };

  before(async () => {
    cluster = await startEtcd({ members: 1 });
    const [url = ''] = cluster.endpoints;
    const text = (value: string): string => Buffer.from(value).toString('base64');
    const perm = { permType: 'READWRITE', key: text(prefix), range_end: text(`${prefix.slice(0, -1)}0`) };
    await askEtcd(url, '/v3/auth/role/add', { name: 'broker' });
    await askEtcd(url, '/v3/auth/role/grant', { name: 'broker', perm });
    for (const [name, role] of [
      ['root', 'root'],
      ['one', 'broker'],
    ]) {
      await askEtcd(url, '/v3/auth/user/add', { name, password: 'secret' });
      await askEtcd(url, '/v3/auth/user/grant', { user: name, role });
    }
    await askEtcd(url, '/v3/auth/enable', {});
  });

  it('learns the caller by name and password, again when the token has ended', async () => {
    const { endpoints } = cluster;
    tokens = [];
    const store = await openHere({ endpoints, prefix, username: 'one', password: 'secret', fetch: seeing });
    const watch = store.watch();
    await store.mutate('a', put('x', 60_000));
    await store.mutate('a', () => ({ action: 'renew' }));
    await store.mutate('a', remove);
    const former = new Set(tokens);
    // It ends all tokens of the user.
    const [url = ''] = cluster.endpoints;
    const root = { name: 'root', password: 'secret' };
    const { token } = (await askEtcd(url, '/v3/auth/authenticate', root)) as { token: string };
    const asRoot: EtcdFetch = (to, init) => fetch(to, { ...init, headers: { authorization: token } });
    await askEtcd(url, '/v3/auth/user/changepw', { name: 'one', password: 'secret' }, asRoot);
    await store.mutate('b', put('x'));
    assert.ok(tokens.some((one) => !former.has(one)));
    assert.equal((await take(watch, 3)).at(-1)?.type, 'put');
    await store.close();
  });

  it('refuses wrong and missing credentials, and keys that are not its own, each by its name', async () => {
    const { endpoints } = cluster;
    const wrong = await refusal({ endpoints, prefix, username: 'one', password: 'guess' });
    assert.deepEqual([wrong.code, /_store\.password/.test(wrong.message)], ['invalid_config', true]);
    const missing = await refusal({ endpoints, prefix });
    assert.deepEqual([missing.code, /_store\.username/.test(missing.message)], ['invalid_config', true]);
    const foreign = await refusal({ endpoints, prefix: '/other/', username: 'one', password: 'secret' });
    assert.deepEqual([foreign.code, /below the prefix/.test(foreign.message)], ['invalid_config', true]);
    for (const { message } of [wrong, missing, foreign]) assert.doesNotMatch(message, /guess|secret/);
  });
});

describe('an etcd that cannot be used', { skip, timeout: 60_000 }, () => {
  it('is said to be too old, or not to be reached', async () => {
    const cluster = await startEtcd({ members: 1, args: ['--enable-grpc-gateway=false'], isReady: false });
    const { endpoints } = cluster;
    await waitFor('it to listen', async () => (await fetch(`${endpoints[0]}/version`)).ok);
    const { code, message } = await refusal({ endpoints });
    assert.deepEqual([code, /etcd 3\.4 or newer/.test(message)], ['invalid_config', true]);
    await cluster.close();
    const gone = await refusal({ endpoints });
    assert.deepEqual([gone.code, gone.message.includes(endpoints[0] ?? '')], ['unavailable', true]);
  });

  it('holds something else below the prefix', async () => {
    const cluster = await startEtcd({ members: 1 });
    const key = Buffer.from('/bpbroker/m/registry').toString('base64');
    for (const value of ['no JSON', '{}', '{"id":"x","layout":3}']) {
      await askEtcd(cluster.endpoints[0] ?? '', '/v3/kv/put', {
        key,
        value: Buffer.from(value).toString('base64'),
      });
      const { code, message } = await refusal({ endpoints: cluster.endpoints });
      assert.deepEqual([code, /prefix|layout 3/.test(message)], ['invalid_config', true]);
    }
    await cluster.close();
  });

  it('keeps its watch where it tells its status to nobody, and is full until it takes a write', async () => {
    const cluster = await startEtcd({ members: 1 });
    const [asked, refuses] = [{ status: 0, watch: 0 }, { writes: false }];
    const refused = (code: number, message: string): Promise<Response> =>
      Promise.resolve(new Response(JSON.stringify({ code, message }), { status: 403 }));
    const secretive = interceptedFetch((path, _body, pass) => {
      if (path === '/v3/watch') asked.watch++;
      if (path === '/v3/maintenance/status') {
        asked.status++;
        return refused(7, 'etcdserver: permission denied');
      }
      const isWrite = path === '/v3/kv/txn' || path === '/v3/kv/put';
      return isWrite && refuses.writes ? refused(8, 'etcdserver: mvcc: database space exceeded') : pass();
    });
    const store = await openHere({ endpoints: cluster.endpoints, fetch: secretive });
    const looks = async (count: number): Promise<void> => {
      const from = asked.status;
      await waitFor('its status to be asked for', () => asked.status >= from + count);
    };
    await looks(3);
    assert.equal(asked.watch, 1);
    refuses.writes = true;
    await assert.rejects(store.mutate('foo', put('x')), { code: 'storage_full' });
    await looks(2);
    assert.match(store.health().reason ?? '', /NOSPACE/);
    refuses.writes = false;
    await waitFor('it to have room', () => store.health().writable);
    assert.equal(asked.watch, 1);
    await store.close();
    await cluster.close();
  });

  it('refuses writes when it is full, and lets entries be deleted', async () => {
    const quota = 16 * 1024 * 1024;
    const cluster = await startEtcd({ members: 1, args: [`--quota-backend-bytes=${quota}`] });
    const store = await openHere({ endpoints: cluster.endpoints });
    await store.mutate('kept', put('x'));
    await store.mutate('leased', put('x', 3_600_000));
    const { code, status } = await (async () => {
      for (let i = 0; i < 100; i++) await store.mutate('big', put('x'.repeat(900_000)));
      return assert.fail('it took everything');
    })().catch((error: { code: string; status: number }) => error);
    assert.deepEqual([code, status], ['storage_full', 507]);
    const { writable, reason } = store.health();
    assert.deepEqual([writable, /NOSPACE/.test(reason ?? '')], [false, true]);
    assert.equal((await store.get('kept'))?.data['_str'], 'x');
    const watch = store.watch();
    await store.mutate('big', remove);
    await store.mutate('leased', remove);
    assert.equal(await store.count(''), 1);
    // There is no room to say of an entry with a lifetime that it was deleted.
    assert.deepEqual(
      (await take(watch, 2)).map(({ type }) => type),
      ['delete', 'expire'],
    );
    await store.close();
    await cluster.close();
  });
});
