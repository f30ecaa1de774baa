import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type EtcdStore, etcdStore } from '../../../src/store/etcd/etcd-store.ts';
import type { Mutation, MutationResult, WatchItem } from '../../../src/store/store.ts';
import { askEtcd, type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';
import { interceptedFetch, newPrefix, openEtcd } from './etcd-support.ts';
import { create, put, remove, take } from '../support.ts';

const skip = lacking('etcd');
const increment: Mutation = (current) => put({ n: Number(current?.data['n'] ?? 0) + 1 })(current);

describe('several stores over one registry in etcd', { skip, timeout: 120_000 }, () => {
  let cluster: EtcdCluster;
  const open: EtcdStore[] = [];

  async function openAll(count: number, prefix = newPrefix()): Promise<EtcdStore[]> {
    const stores: EtcdStore[] = [];
    for (let i = 0; i < count; i++) {
      const { endpoints } = cluster;
      // Each prefers another member.
      const own = endpoints.map((_, at) => endpoints[(at + i) % endpoints.length] ?? '');
      stores.push(await openEtcd({ endpoints: own, prefix }));
    }
    open.push(...stores);
    return stores;
  }

  before(async () => {
    cluster = await startEtcd();
  });

  after(async () => {
    await Promise.all(open.map((store) => store.close()));
  });

  it('have one id, and show each what the others have settled', async () => {
    const stores = await openAll(3);
    const [a, b, c] = stores;
    assert.ok(a && b && c);
    assert.match(a.id, /^[0-9a-f]{16}$/);
    assert.deepEqual([b.id, c.id], [a.id, a.id]);
    for (let i = 0; i < 30; i++) {
      const [writer, reader, other]: (EtcdStore | undefined)[] = [...stores, ...stores].slice(i % 3);
      assert.ok(writer && reader && other);
      const { entry, revision } = await writer.mutate('foo', put(String(i)));
      assert.deepEqual(await reader.get('foo'), entry);
      assert.equal((await other.list()).revision, revision);
      assert.equal(await other.count(''), 1);
    }
  });

  it('let one of 90 simultaneous creations win, and lose none of 90 increments', async () => {
    const stores = await openAll(3);
    const at = (i: number): EtcdStore => stores[i % 3] as EtcdStore;
    const made = await Promise.allSettled(
      Array.from({ length: 90 }, (_, i) => at(i).mutate('one', create(String(i)))),
    );
    assert.equal(made.filter(({ status }) => status === 'fulfilled').length, 1);
    const counted = await Promise.all(Array.from({ length: 90 }, (_, i) => at(i).mutate('n', increment)));
    assert.equal((await at(0).get('n'))?.data['n'], 90);
    assert.equal(new Set(counted.map(({ revision }) => revision)).size, 90);
  });

  it('ask nothing any more once one is closed, also while it was being opened', async () => {
    let asked = 0;
    const counting = interceptedFetch((_path, _body, pass) => {
      asked += 1;
      return pass();
    });
    const store = etcdStore({ endpoints: cluster.endpoints, prefix: newPrefix(), fetch: counting });
    await waitFor('a first request', () => asked > 0);
    await store.close();
    const atClose = asked;
    // Checks come each second.
    await sleep(2500);
    assert.equal(asked, atClose);
  });

  it('tell a deletion from the end of a lifetime, each to all', async () => {
    const [a, b] = await openAll(2);
    assert.ok(a && b);
    const watches = [a, b].map((store) => store.watch());
    await a.mutate('lock', put('x', 3_600_000));
    await a.mutate('lock', remove);
    await a.mutate('short', put('x', 1000));
    for (const watch of watches) {
      const items = await take(watch, 4);
      assert.deepEqual(
        items.map((item: WatchItem) => item.type),
        ['put', 'delete', 'put', 'expire'],
      );
      await watch.return?.();
    }
    assert.equal(await b.get('short'), undefined);
  });

  it("resume each other's watches, and know a revision of another from the future", async () => {
    const [a, b] = await openAll(2);
    assert.ok(a && b);
    const first = await a.mutate('k', put('0'));
    for (let i = 1; i <= 20; i++) {
      const { revision } = await a.mutate('k', put(String(i)));
      // At once: the other may not have it yet.
      const watch = b.watch({ after: revision });
      const next: MutationResult = await a.mutate('k', put(`${i}+`));
      const [item] = await take(watch, 1);
      assert.deepEqual([item?.type, item?.revision], ['put', next.revision]);
      await watch.return?.();
    }
    const all = await take(b.watch({ after: first.revision }), 40);
    assert.equal(new Set(all.map(({ revision }) => revision)).size, 40);
  });

  it('serve the waits of one by the writes of another', async () => {
    const [a, b] = await openAll(2);
    assert.ok(a && b);
    const { signal } = new AbortController();
    const waits = [b.waitForEntry('w/1', signal), b.waitForCount('w/', 2, new AbortController().signal)];
    await a.mutate('w/1', put('x'));
    await a.mutate('w/2', put('x'));
    await Promise.all(waits);
  });

  it('renew a lifetime through any of them, and never that of another entry', async () => {
    const [a, b] = await openAll(2);
    assert.ok(a && b);
    await a.mutate('kept', put('x', 3000));
    await a.mutate('left', put('x', 3000));
    const until = performance.now() + 6000;
    while (performance.now() < until) {
      await b.mutate('kept', () => ({ action: 'renew' }));
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    assert.ok(await a.get('kept'));
    assert.equal(await a.get('left'), undefined);
  });

  it('open one watch of etcd each, whatever their clients ask', async () => {
    let watches = 0;
    const counting = interceptedFetch((path, _, pass) => {
      if (path === '/v3/watch') watches++;
      return pass();
    });
    const store = await openEtcd({ endpoints: cluster.endpoints, prefix: newPrefix(), fetch: counting });
    open.push(store);
    const all = Array.from({ length: 200 }, (_, i) => store.watch({ prefix: `p${i % 7}` }));
    const waits = Array.from({ length: 200 }, () => store.waitForCount('p', 7, new AbortController().signal));
    for (let i = 0; i < 7; i++) await store.mutate(`p${i}`, put('x'));
    await Promise.all([...waits, ...all.map((watch) => take(watch, 1))]);
    assert.equal(watches, 1);
  });

  it('share a cluster with other registries: what those write is no change', async () => {
    const [mine] = await openAll(1);
    const [others] = await openAll(1);
    assert.ok(mine && others);
    await mine.mutate('a', put('x'));
    const { revision } = mine;
    for (let i = 0; i < 20; i++) {
      await others.mutate(`n${i}`, put('x'));
      assert.ok(await mine.get('a'));
    }
    assert.equal(mine.revision, revision);
    assert.equal((await mine.list()).entries.length, 1);
  });

  it('reads a large registry page by page, and what came meanwhile', async () => {
    const prefix = newPrefix();
    const [writer] = await openAll(1, prefix);
    assert.ok(writer);
    for (let from = 0; from < 1500; from += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, i) => writer.mutate(`n${from + i}`, put('x'.repeat(i * 40)))),
      );
    }
    const [reader] = await openAll(1, prefix);
    assert.deepEqual(await reader?.list({ limit: 2000 }), await writer.list({ limit: 2000 }));
  });

  it('are ready once a registry has been read, however long its pages take', async () => {
    const TIMEOUT_MS = 1000;
    const prefix = newPrefix();
    const [writer] = await openAll(1, prefix);
    assert.ok(writer);
    // Pages of 8, 64, 512 and 16 entries.
    for (let from = 0; from < 600; from += 100)
      await Promise.all(Array.from({ length: 100 }, (_, i) => writer.mutate(`n${from + i}`, put('x'))));
    // One member alone: no other one is asked instead of a slow one.
    const [url = ''] = cluster.endpoints;
    // Without its history, the registry is read as it is now.
    await askEtcd(url, '/v3/kv/compaction', { revision: writer.revision, physical: true });
    let pages = 0;
    const slow = interceptedFetch(async (path, body, pass) => {
      if (path === '/v3/kv/range' && body.includes('"limit":')) {
        pages++;
        await sleep(TIMEOUT_MS);
      }
      return await pass();
    });
    const store = etcdStore({ endpoints: [url], prefix, fetch: slow, timeoutMs: TIMEOUT_MS });
    open.push(store);
    await store.ready();
    assert.ok(pages >= 4, `${pages} pages`);
    assert.equal(await store.count('n'), 600);
  });

  it('read few entries at once where many are more than can be answered', async () => {
    const { endpoints } = cluster;
    const prefix = newPrefix();
    const [writer] = await openAll(1, prefix);
    assert.ok(writer);
    // The small ones come first, and say nothing of the size of those after them.
    for (let i = 0; i < 10; i++) await writer.mutate(`a${i}`, put('small'));
    for (let i = 0; i < 16; i++) await writer.mutate(`b${i}`, put('x'.repeat(1024 * 1024 - 2)));
    const most = 12 * 1024 * 1024;
    let refused = 0;
    const bounded = interceptedFetch(async (path, _body, pass) => {
      const response = await pass();
      if (path !== '/v3/kv/range') return response;
      const text = await response.text();
      if (text.length > most) {
        refused++;
        throw new Error('too much');
      }
      return new Response(text);
    });
    const store = etcdStore({ endpoints, prefix, fetch: bounded });
    open.push(store);
    await waitFor('the registry to be read', () => store.ready().then(() => true));
    const { entries } = await store.list({ limit: 100 });
    assert.deepEqual(entries, (await writer.list({ limit: 100 })).entries);
    assert.ok(refused > 0);
  });

  it('report what comes after a start as changes, and never as a reset, however much it is', async () => {
    const [store] = await openAll(1);
    assert.ok(store);
    const types: string[] = [];
    const reading = (async () => {
      for await (const { type, ...item } of store.watch()) {
        types.push(type);
        if ('name' in item && item.name === 'last') return;
      }
    })();
    for (let i = 0; i < 20; i++) await store.mutate('big', put('x'.repeat(900_000)));
    await store.mutate('last', put('x'));
    await reading;
    assert.deepEqual(
      types,
      Array.from({ length: 21 }, () => 'put'),
    );
  });

  it('keep to a limit of their own', async () => {
    const { endpoints } = cluster;
    const store = await openEtcd({ endpoints, prefix: newPrefix(), maxBytes: 3000 });
    open.push(store);
    await store.mutate('a', put('x'.repeat(1500)));
    await assert.rejects(store.mutate('b', put('x'.repeat(1500))), { code: 'storage_full' });
    await store.mutate('a', put('x'));
    await store.mutate('b', put('x'.repeat(1500)));
    await waitFor('the size to be known', () => (store.health().usage?.bytes ?? 0) > 2000);
  });
});
