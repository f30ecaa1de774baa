import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Entry } from '../../../src/protocol/registry/entry.ts';
import { type Cluster, openCluster } from '../../../src/store/etcd/gateway/cluster.ts';
import { type EtcdFetch, type EtcdStore, etcdStore } from '../../../src/store/etcd/etcd-store.ts';
import { moveIn } from '../../../src/store/etcd/moving/move-in.ts';
import { moveOut } from '../../../src/store/etcd/moving/move-out.ts';
import { createEntryIndex, type EntryIndex } from '../../../src/store/memory/entry-index.ts';
import type { WatchItem } from '../../../src/store/store.ts';
import { askEtcd, type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';
import { interceptedFetch, newPrefix, openEtcd } from './etcd-support.ts';
import { put, remove, take } from '../support.ts';

const skip = lacking('etcd');
const by = { host: 'here', file: '/etc/bpbroker.json', mover: 'a1' };
const ID = '0123456789abcdef';

/** A registry as read from a file: `at` is its revision. */
function tableOf(entries: readonly Partial<Entry>[], at: number): EntryIndex {
  const index = createEntryIndex();
  for (const [i, entry] of entries.entries()) {
    const whole = {
      name: `n${i}`,
      data: { i },
      lastWriteTs: 1_420_068_290,
      lastWriteIp: '10.0.0.1',
      revision: i + 1,
    };
    const made: Entry = { ...whole, ...entry };
    index.apply({ type: 'put', name: made.name, revision: made.revision, entry: made });
  }
  index.revision = at;
  return index;
}

describe('a registry that is moved into etcd and out of it', { skip, timeout: 180_000 }, () => {
  let etcd: EtcdCluster;
  const open: EtcdStore[] = [];

  before(async () => {
    etcd = await startEtcd();
  });
  after(async () => {
    await Promise.all(open.map((store) => store.close()));
  });

  const clusterAt = (prefix: string, own?: EtcdFetch): Cluster =>
    openCluster({ endpoints: etcd.endpoints, prefix, ...(own && { fetch: own }) });

  async function storeAt(prefix: string): Promise<EtcdStore> {
    const store = await openEtcd({ endpoints: etcd.endpoints, prefix });
    open.push(store);
    return store;
  }

  /** What a store that cannot be opened says. */
  async function refusal(prefix: string): Promise<string> {
    const store = etcdStore({ endpoints: etcd.endpoints, prefix });
    try {
      await assert.rejects(store.ready(), { code: 'invalid_config' });
      return store.health().reason ?? '';
    } finally {
      await store.close();
    }
  }

  async function bring(
    prefix: string,
    index: EntryIndex,
    more: { cluster?: Cluster; by?: typeof by; id?: string } = {},
  ): Promise<void> {
    await moveIn({
      cluster: more.cluster ?? clusterAt(prefix),
      content: { id: more.id ?? ID, index, common: { certificate: 'the certificate' } },
      by: more.by ?? by,
      onProgress: () => undefined,
      signal: new AbortController().signal,
      onFilled: () => Promise.resolve(),
    });
  }

  async function entriesOf(cluster: Cluster): Promise<{ revision: number; entries: Entry[] }> {
    const moving = await moveOut(cluster, by);
    const entries: Entry[] = [];
    for await (const page of moving.pages()) entries.push(...page);
    return { revision: moving.revision, entries };
  }

  // etcd's own revision is below the one, and above the other.
  for (const revision of [1_000_000, 5]) {
    it(`goes on from its own revision (${revision}), and shows each entry as it was`, async () => {
      const prefix = newPrefix();
      const index = tableOf(
        [{ name: 'foo' }, { name: 'lives', ttlMs: 60_000 }, { data: { _str: 'ü' } }],
        revision,
      );
      await bring(prefix, index);
      const store = await storeAt(prefix);
      assert.equal(store.id, ID);
      assert.equal(store.revision, revision);
      assert.equal(
        await store.common('certificate', () => Promise.reject(new Error('none'))),
        'the certificate',
      );
      const { entries } = await store.list();
      assert.deepEqual(entries, [...index.entries()]);
      const left = (await store.lifetimeLeft('lives')) ?? 0;
      assert.ok(left > 50_000 && left <= 60_000, `${left} ms are left of 60 s`);
      const seen: WatchItem[] = [];
      const watch = store.watch({ after: revision });
      const behind = store.watch({ after: revision - 1 });
      const written = await store.mutate('foo', (current) => {
        assert.equal(current?.revision, 1);
        return put('new')(current);
      });
      assert.ok(written.revision > revision, `${written.revision} after ${revision}`);
      assert.equal(written.entry?.revision, written.revision);
      const second = await store.mutate('n2', remove);
      assert.ok(second.revision > written.revision);
      for await (const item of watch) if (seen.push(item) === 2) break;
      assert.deepEqual(
        seen.map((item) => [item.type, item.revision]),
        [
          ['put', written.revision],
          ['delete', second.revision],
        ],
      );
      for await (const { type } of behind) {
        assert.equal(type, 'reset');
        break;
      }
    });
  }

  it('lets writes through whose condition, or whose guard, is a revision from before', async () => {
    const prefix = newPrefix();
    await bring(prefix, tableOf([{ name: 'foo' }, { name: 'lock' }], 70));
    const store = await storeAt(prefix);
    const guard = (revision: number): { name: string; check: (current: Entry | undefined) => void } => ({
      name: 'lock',
      check: (current) => assert.equal(current?.revision, revision),
    });
    await store.mutate('foo', put('a'), guard(2));
    const other = await storeAt(prefix);
    const { revision } = await other.mutate('lock', put('b'));
    await assert.rejects(store.mutate('foo', put('c'), guard(2)), { name: 'AssertionError' });
    await store.mutate('foo', put('c'), guard(revision));
    assert.deepEqual((await other.get('foo'))?.data, { _str: 'c' });
  });

  it('takes no harm from a request of the migration that comes late', async () => {
    const prefix = newPrefix();
    const asked: [string, string][] = [];
    const noting = interceptedFetch((at, body, pass) => {
      asked.push([at, body]);
      return pass();
    });
    const cluster = clusterAt(prefix, noting);
    await bring(prefix, tableOf([{ name: 'foo' }, { name: 'lives', ttlMs: 60_000 }], 9), { cluster });
    const store = await storeAt(prefix);
    const watch = store.watch();
    await store.mutate('foo', put('of a client'));
    const { entries } = await store.list();
    for (const [at, body] of asked) await askEtcd(etcd.endpoints[0] ?? '', at, JSON.parse(body) as object);
    assert.ok(asked.filter(([at]) => at === '/v3/kv/txn').length >= 6, JSON.stringify(asked));
    assert.deepEqual((await store.list()).entries, entries);
    await store.mutate('foo', put('and another'));
    const [first, second] = await take(watch, 2);
    assert.deepEqual([first?.type, second?.type], ['put', 'put']);
    const out: [string, string][] = [];
    const outwards = interceptedFetch((at, body, pass) => {
      out.push([at, body]);
      return pass();
    });
    const moving = await moveOut(clusterAt(prefix, outwards), by);
    await moving.reopen();
    await waitFor('the store to go on', () => store.mutate('foo', put('after')).then(() => true));
    for (const [at, body] of out) await askEtcd(etcd.endpoints[0] ?? '', at, JSON.parse(body) as object);
    await store.mutate('foo', put('again'));
  });

  it('is closed to all stores at once when it is moved out, and holds all that they have acknowledged', async () => {
    const prefix = newPrefix();
    await bring(prefix, tableOf([{ name: 'foo' }], 3));
    const stores = await Promise.all([storeAt(prefix), storeAt(prefix), storeAt(prefix)]);
    const acknowledged = new Map<string, number>();
    const over = new AbortController();
    const writing = stores.flatMap((store, at) =>
      ['a', 'b', 'c'].map(async (letter) => {
        for (let n = 0; !over.signal.aborted; n++) {
          const name = `${letter}${at}/${n % 5}`;
          try {
            const { revision } = await store.mutate(name, put({ n }));
            acknowledged.set(name, revision);
          } catch (error) {
            assert.equal((error as { code?: string }).code, 'unavailable');
            assert.match((error as Error).message, /on its way from etcd to a file/);
            return;
          }
        }
      }),
    );
    await waitFor('writes', () => acknowledged.size === 45);
    const moving = await moveOut(clusterAt(prefix), by);
    await Promise.all(writing);
    over.abort();
    const found = new Map<string, number>();
    for await (const page of moving.pages()) for (const { name, revision } of page) found.set(name, revision);
    assert.equal(found.get('foo'), 1);
    for (const [name, revision] of acknowledged) {
      assert.equal(found.get(name), revision, name);
      assert.ok(revision <= moving.revision);
    }
    for (const store of stores) {
      await assert.rejects(store.get('foo'), { code: 'unavailable' });
      const { writable, reason } = store.health();
      assert.deepEqual([writable, /on its way from etcd to a file/.test(reason ?? '')], [false, true]);
    }
    assert.match(await refusal(prefix), /on its way from etcd/);
    await moving.reopen();
    for (const store of stores) {
      await waitFor('it to go on', () => store.get('foo'));
      assert.ok((await store.mutate('foo', put('x'))).revision > moving.revision);
    }
    const again = await moveOut(clusterAt(prefix), by);
    await again.finish();
    await waitFor('it to be said', () => /was moved from etcd/.test(stores[0].health().reason ?? ''));
    await assert.rejects(moveOut(clusterAt(prefix), by), /was moved from etcd/);
  });

  it('tells nothing of what ends in it once it is closed, for the revisions of that are given out elsewhere', async () => {
    const endpoint = etcd.endpoints[0] ?? '';
    for (const stays of [true, false]) {
      const prefix = newPrefix();
      await bring(prefix, tableOf([{ name: 'foo' }, { name: 'ends', ttlMs: 5000 }], 10));
      const store = await storeAt(prefix);
      const told = store.watch().next();
      const waiting = store.waitForEntry('never', new AbortController().signal);
      waiting.catch(() => undefined);
      // The wait has begun then.
      await store.get('foo');
      const moving = await moveOut(clusterAt(prefix), by);
      await waitFor('the store to know', () => !store.health().writable);
      await assert.rejects(store.watch().next(), { code: 'unavailable', message: /on its way from etcd/ });
      const key = btoa(`${prefix}e/ends`);
      const isThere = async (): Promise<boolean> =>
        'kvs' in ((await askEtcd(endpoint, '/v3/kv/range', { key })) as object);
      await waitFor('the lifetime to end in etcd', async () => !(await isThere()), 20_000);
      if (stays) {
        await moving.reopen();
        const { value } = await told;
        assert.deepEqual([value?.type, (value?.revision ?? 0) > moving.revision], ['expire', true]);
        await store.mutate('never', put('x'));
        await waiting;
        continue;
      }
      await moving.finish();
      assert.deepEqual(await told, { done: true, value: undefined });
      await assert.rejects(waiting, { code: 'unavailable', message: /was moved from etcd/ });
      await assert.rejects(store.watch().next(), { code: 'unavailable', message: /was moved from etcd/ });
    }
  });

  it('takes the place of what was moved away, and of nothing else', async () => {
    const prefix = newPrefix();
    const index = tableOf([{ name: 'foo' }], 10);
    await bring(prefix, index);
    const stale = await storeAt(prefix);
    await assert.rejects(bring(prefix, index), {
      code: 'already_exists',
      message: /holds this very registry/,
    });
    await assert.rejects(bring(prefix, index, { id: 'ffff' }), { message: /holds another registry \('0123/ });
    const moving = await moveOut(clusterAt(prefix), by);
    await assert.rejects(bring(prefix, index), { message: /on its way from etcd to/ });
    await assert.rejects(moveOut(clusterAt(prefix), { ...by, mover: 'b2' }), { message: /on its way/ });
    await moving.finish();
    await assert.rejects(bring(prefix, index, { id: 'ffff' }), { message: /which was moved away/ });
    // It has got further in etcd than this file knows.
    await assert.rejects(bring(prefix, index), { message: /later than revision 10 of the file/ });
    // A registry with a longer prefix, which is none of its own.
    const longer = await storeAt(`${prefix}longer/`);
    await longer.mutate('theirs', put('x'));
    await bring(prefix, tableOf([{ name: 'bar' }], moving.revision));
    await longer.mutate('theirs', put('y'));
    const store = await storeAt(prefix);
    assert.deepEqual(
      (await store.list()).entries.map(({ name }) => name),
      ['bar'],
    );
    // A store that was open all the time has not followed it.
    await waitFor('it to be said', () => /restart the broker/.test(stale.health().reason ?? ''));
    await assert.rejects(stale.mutate('bar', put('x')), { code: 'unavailable' });
    const taken = newPrefix();
    await askEtcd(etcd.endpoints[0] ?? '', '/v3/kv/put', { key: btoa(`${taken}x`), value: btoa('mine') });
    await assert.rejects(bring(taken, index), { code: 'already_exists', message: /holds 1 keys.*--prefix/ });
    const { count } = (await askEtcd(etcd.endpoints[0] ?? '', '/v3/kv/range', {
      key: btoa(`${taken}x`),
    })) as { count?: string };
    assert.equal(count, '1');
  });

  it('is not opened when etcd holds anything but what was brought in', async () => {
    type Put = { request_put: { key: string; value: string } };
    const tampered: Record<string, (puts: Put[]) => Put[]> = {
      'an entry is another one': ([first, ...rest]) => {
        const { key = '' } = first?.request_put ?? {};
        const value = btoa('{"write":"","revision":1,"entry":{"x":1}}');
        return [{ request_put: { key, value } }, ...rest];
      },
      'an entry is missing': ([, ...rest]) => rest,
    };
    for (const [what, change] of Object.entries(tampered)) {
      const prefix = newPrefix();
      let isChanged = false;
      const changing = interceptedFetch((at, body, pass) => {
        const txn = JSON.parse(body) as { success?: Put[] };
        const { key = '' } = txn.success?.[0]?.request_put ?? {};
        if (isChanged || !atob(key).startsWith(`${prefix}e/`)) return pass();
        isChanged = true;
        const changed = JSON.stringify({ ...txn, success: change(txn.success ?? []) });
        return fetch((etcd.endpoints[0] ?? '') + at, { method: 'POST', body: changed });
      });
      const cluster = clusterAt(prefix, changing);
      await assert.rejects(bring(prefix, tableOf([{}, {}, {}], 3), { cluster }), { code: 'internal' }, what);
      assert.ok(isChanged, what);
      assert.match(await refusal(prefix), /on its way/, what);
      // Run again, it ends rightly.
      await bring(prefix, tableOf([{}, {}, {}], 3));
      assert.equal((await (await storeAt(prefix)).list()).entries.length, 3);
    }
  });

  it('may be large, and hold the largest entries', async () => {
    const prefix = newPrefix();
    const large = { _str: 'x'.repeat(1024 * 1024 - 2) };
    const small = Array.from({ length: 5000 }, (_, i) => (i % 10 === 0 ? { ttlMs: 50_000 + i } : {}));
    const index = tableOf([...small, { data: large }, { data: large }, { data: large, ttlMs: 90_000 }], 6000);
    await bring(prefix, index);
    const { entries } = await entriesOf(clusterAt(prefix));
    assert.equal(entries.length, 5003);
    for (const entry of entries) assert.deepEqual(entry, index.get(entry.name));
  });
});
