import assert from 'node:assert/strict';
import { afterEach, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EtcdStore, EtcdStoreOptions } from '../../../src/store/etcd/etcd-store.ts';
import { type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';
import { newPrefix, openEtcd } from './etcd-support.ts';
import { put, take } from '../support.ts';

const skip = lacking('etcd');
/** The longest that anything may take to go on, on a busy machine: the long proof has a bound of 10 s. */
const RECOVERY_MS = 60_000;
/** The time in which a member on a busy machine opens a watch: longer than a reader waits before it asks for another. */
const SLOW_OPEN_MS = 1500;

describe('a registry in etcd whose members fail', { skip, timeout: 180_000 }, () => {
  let cluster: EtcdCluster;
  const open: EtcdStore[] = [];

  async function openStore(options: Partial<EtcdStoreOptions> = {}): Promise<EtcdStore> {
    const store = await openEtcd({ endpoints: cluster.endpoints, prefix: newPrefix(), ...options });
    open.push(store);
    return store;
  }

  /** Writes until one is taken; returns how long that took. */
  async function writeAgain(store: EtcdStore): Promise<number> {
    const began = performance.now();
    await waitFor('a write to be taken', () => store.mutate('again', put('x')), RECOVERY_MS);
    return performance.now() - began;
  }

  before(async () => {
    cluster = await startEtcd();
  });

  afterEach(async () => {
    await Promise.all(open.splice(0).map((store) => store.close()));
    for (const member of cluster.members) {
      member.signal('SIGCONT');
      await member.kill();
      member.start();
    }
    await waitFor('the members to follow a leader', async () => {
      const found = await Promise.all(cluster.endpoints.map(follows));
      return found.every(Boolean);
    });
  });

  for (const at of [0, 1, 2]) {
    it(`goes on without member ${at}, and loses no write`, async () => {
      const store = await openStore();
      const done: string[] = [];
      let killed = false;
      let isOver = false;
      const watch = store.watch();
      const writing = Array.from({ length: 4 }, async (_, writer) => {
        for (let i = 0; !isOver; i++) {
          const name = `w${writer}/${i}`;
          try {
            await store.mutate(name, put(name));
            done.push(name);
            if (killed && done.length % 20 === 0) isOver = true;
          } catch (error) {
            assert.match((error as { code: string }).code, /^(unavailable|outcome_unknown)$/);
          }
        }
      });
      await waitFor('some writes', () => done.length > 20);
      await cluster.members[at]?.kill();
      const early = done.length;
      await waitFor('writes to go on', () => done.length > early + 20, RECOVERY_MS);
      killed = true;
      await Promise.all(writing);
      const held = new Set((await store.list({ limit: 100_000 })).entries.map(({ name }) => name));
      assert.deepEqual(
        done.filter((name) => !held.has(name)),
        [],
      );
      // Each once, and in order, whatever became of the watch at that member.
      const items = await take(watch, held.size);
      assert.ok(items.every((item, i) => i === 0 || item.revision > (items[i - 1]?.revision ?? 0)));
      await watch.return?.();
    });
  }

  it('goes on when a member stops without a word', async () => {
    for (const member of cluster.members) {
      const store = await openStore({ endpoints: [member.url, ...cluster.endpoints] });
      const watch = store.watch();
      await store.mutate('a', put('before'));
      const waiting = store.waitForEntry('again', new AbortController().signal);
      // The wait has begun as well.
      await store.fresh?.();
      member.signal('SIGSTOP');
      await writeAgain(store);
      assert.equal((await waiting).name, 'again');
      assert.equal((await store.get('again'))?.name, 'again');
      const [, last] = await take(watch, 2);
      assert.ok(last?.type === 'put' && last.name === 'again');
      member.signal('SIGCONT');
      await watch.return?.();
      await waitFor('the member to be one again', () => follows(member.url));
    }
  });

  it('reads what others have written, though each watch takes a while to open', async () => {
    const prefix = newPrefix();
    const other = await openStore({ prefix });
    const store = await openStore({
      prefix,
      async fetch(url, init) {
        if (url.endsWith('/v3/watch'))
          await sleep(SLOW_OPEN_MS, undefined, { signal: init.signal ?? undefined });
        return fetch(url, init);
      },
    });
    for (const name of ['a', 'b']) {
      await other.mutate(name, put('1'));
      assert.equal((await store.get(name))?.name, name);
    }
  });

  it('without a majority refuses reads and writes, and takes them again after its return', async (t) => {
    const store = await openStore();
    await store.mutate('a', put('1'));
    const [first, second] = cluster.members;
    const waiting = store.waitForEntry('again', new AbortController().signal);
    const watch = store.watch({ name: 'again' });
    // The wait has begun as well.
    await store.fresh?.();
    await Promise.all([first?.kill(), second?.kill()]);
    const refused: string[] = [];
    await waitFor('it to be known', async () => {
      const { code, status } = await store.mutate('a', put('2')).then(
        () => assert.fail('a write was acknowledged'),
        (error: { code: string; status: number }) => error,
      );
      assert.equal(status, 503);
      refused.push(code);
      return /majority/.test(store.health().reason ?? '');
    });
    assert.ok(refused.every((code) => code === 'unavailable' || code === 'outcome_unknown'));
    const began = performance.now();
    await assert.rejects(store.mutate('a', put('3')), { code: 'unavailable', message: /majority/ });
    await assert.rejects(store.get('a'), { code: 'unavailable' });
    // What is known is not waited for.
    assert.ok(performance.now() - began < 1000);
    first?.start();
    t.diagnostic(`taken again after ${Math.round(await writeAgain(store))} ms`);
    await waitFor('it to be known', () => store.health().writable);
    assert.notEqual((await store.get('a'))?.data['_str'], '3');
    assert.equal((await waiting).name, 'again');
    await take(watch, 1);
    await watch.return?.();
  });
});

/** Whether a member knows a leader. */
async function follows(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/v3/maintenance/status`, { method: 'POST', body: '{}' });
  const { leader = '0' } = (await answer.json()) as { leader?: string };
  return leader !== '0';
}
