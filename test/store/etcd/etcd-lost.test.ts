import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import type { EtcdStore } from '../../../src/store/etcd/etcd-store.ts';
import type { Mutation } from '../../../src/store/store.ts';
import { askEtcd, type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';
import { interceptedFetch, newPrefix, openEtcd } from './etcd-support.ts';
import { create, put, remove, take } from '../support.ts';

const skip = lacking('etcd');
const increment: Mutation = (current) => put({ n: Number(current?.data['n'] ?? 0) + 1 })(current);

describe('a registry in etcd whose answers are lost', { skip, timeout: 120_000 }, () => {
  let cluster: EtcdCluster;
  let store: EtcdStore;
  let other: EtcdStore;
  const open: EtcdStore[] = [];
  /** What becomes of the next transactions, the first one first. */
  let fates: ((pass: () => Promise<Response>, body: string) => Promise<Response>)[] = [];
  let breakWatch: () => void = () => undefined;
  let watchesFail = false;

  const lost = (): never => {
    throw new TypeError('fetch failed', { cause: new Error('other side closed') });
  };
  /** It is done, and nobody gets the answer. */
  const done = async (pass: () => Promise<Response>): Promise<Response> => {
    await (await pass()).text();
    return lost();
  };

  const intercepting = interceptedFetch(async (path, body, pass) => {
    if (path === '/v3/kv/txn') return await (fates.shift()?.(pass, body) ?? pass());
    if (path !== '/v3/watch') return await pass();
    if (watchesFail) return lost();
    const response = await pass();
    const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
    const breaking = new AbortController();
    breakWatch = () => breaking.abort();
    response.body?.pipeTo(writable, { signal: breaking.signal }).catch(() => undefined);
    return new Response(readable);
  });

  before(async () => {
    cluster = await startEtcd({ members: 1 });
  });

  beforeEach(async () => {
    fates = [];
    watchesFail = false;
    const { endpoints } = cluster;
    const prefix = newPrefix();
    store = await openEtcd({ endpoints, prefix, fetch: intercepting, timeoutMs: 2000 });
    other = await openEtcd({ endpoints, prefix });
    open.push(store, other);
  });

  afterEach(async () => {
    watchesFail = false;
    await Promise.all(open.splice(0).map((one) => one.close()));
  });

  it('answers for a write that was done, and does it once', async () => {
    fates = [done];
    const { entry, revision } = await store.mutate('n', increment);
    assert.deepEqual([entry?.data['n'], entry?.revision], [1, revision]);
    assert.deepEqual(await other.get('n'), entry);
    fates = [done, done];
    assert.equal((await store.mutate('n', increment)).entry?.data['n'], 2);
    fates = [done];
    const gone = await store.mutate('n', remove);
    assert.ok(gone.entry === undefined && gone.revision > revision);
    assert.equal(await other.get('n'), undefined);
  });

  it('does a write again that was not done', async () => {
    fates = [lost, lost];
    assert.equal((await store.mutate('foo', create('a'))).entry?.data['_str'], 'a');
    fates = [lost];
    await store.mutate('foo', remove);
    assert.equal(await other.get('foo'), undefined);
  });

  it('never does one late that it has done again', async () => {
    const late: string[] = [];
    const withheld = (_: unknown, body: string): never => {
      late.push(body);
      return lost();
    };
    fates = [withheld];
    await store.mutate('foo', create('a'));
    await other.mutate('foo', remove);
    // Now it would find no entry again, as it was sent to.
    const [url = ''] = cluster.endpoints;
    const answer = await askEtcd(url, '/v3/kv/txn', JSON.parse(late[0] ?? '') as object);
    assert.equal((answer as { succeeded?: boolean }).succeeded, undefined);
    assert.equal(await other.get('foo'), undefined);
    // Nor once the broker that sent it has been stopped.
    await store.close();
    const later = await askEtcd(url, '/v3/kv/txn', JSON.parse(late[0] ?? '') as object);
    assert.equal((later as { succeeded?: boolean }).succeeded, undefined);
    assert.equal(await other.get('foo'), undefined);
  });

  it('answers for a write that was done and written over meanwhile', async () => {
    fates = [
      async (pass) => {
        await (await pass()).text();
        await other.mutate('foo', put('theirs'));
        return lost();
      },
    ];
    assert.equal((await store.mutate('foo', create('mine'))).entry?.data['_str'], 'mine');
    assert.equal((await store.get('foo'))?.data['_str'], 'theirs');
  });

  it('says that the outcome is unknown where it cannot be found out', async () => {
    watchesFail = true;
    breakWatch();
    fates = [done];
    await assert.rejects(store.mutate('foo', create('a')), { code: 'outcome_unknown', status: 503 });
    assert.equal((await other.get('foo'))?.data['_str'], 'a');
    // The lease of an entry that may exist is not taken from it.
    fates = [done];
    await assert.rejects(store.mutate('leased', put('a', 60_000)), { code: 'outcome_unknown' });
    // Whatever it still has to do is done then.
    await store.close();
    assert.ok(await other.get('leased'));
  });

  it('misses, doubles and reorders nothing when its watch breaks 50 times', async () => {
    const watch = store.watch();
    const written: number[] = [];
    for (let i = 0; i < 50; i++) {
      written.push((await other.mutate(`n${i % 5}`, put(String(i)))).revision);
      breakWatch();
      written.push((await other.mutate(`n${i % 5}`, put(`${i}+`))).revision);
    }
    assert.deepEqual(
      (await take(watch, 100)).map(({ revision }) => revision),
      written,
    );
  });

  it('says reset where changes have been compacted, and goes on from there', async () => {
    await store.mutate('kept', put('x'));
    await store.mutate('gone', put('x'));
    const watches = [store.watch(), store.watch({ name: 'other' })];
    const waits = [
      store.waitForEntry('made', new AbortController().signal),
      store.waitForCount('m', 2, new AbortController().signal),
    ];
    watchesFail = true;
    breakWatch();
    await other.mutate('gone', remove);
    await other.mutate('made', put('x'));
    const { revision } = await other.mutate('more', put('x'));
    const body = JSON.stringify({ revision, physical: true });
    await fetch(`${cluster.endpoints[0]}/v3/kv/compaction`, { method: 'POST', body });
    watchesFail = false;
    for (const watch of watches) {
      const [item] = await take(watch, 1);
      assert.ok(item?.type === 'reset' && item.revision >= revision);
    }
    await Promise.all(waits);
    assert.deepEqual(
      (await store.list()).entries.map(({ name }) => name),
      ['kept', 'made', 'more'],
    );
    await other.mutate('other', put('x'));
    for (const watch of watches) {
      const [item] = await take(watch, 1);
      assert.ok(item?.type === 'put' && item.name === 'other');
    }
  });

  it('reports what is compacted right after it was seen', async () => {
    const watch = store.watch();
    for (let i = 0; i < 20; i++) {
      const { revision } = await other.mutate('n', put(String(i)));
      await waitFor('the change to arrive', () => store.revision >= revision);
      const body = JSON.stringify({ revision, physical: true });
      await fetch(`${cluster.endpoints[0]}/v3/kv/compaction`, { method: 'POST', body });
      breakWatch();
    }
    const items = await take(watch, 20);
    assert.ok(items.every((item) => item.type === 'put'));
  });
});
