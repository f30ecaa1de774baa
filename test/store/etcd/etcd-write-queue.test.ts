import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BrokerError } from '../../../src/protocol/errors.ts';
import type { EtcdStore, EtcdStoreOptions } from '../../../src/store/etcd/etcd-store.ts';
import { createWriteQueue } from '../../../src/store/etcd/writes/write-queue.ts';
import { type EtcdCluster, startEtcd } from '../../support/registry/etcd.ts';
import { lacking } from '../../support/programs/tools.ts';
import { waitFor } from '../../support/wait.ts';
import { interceptedFetch, newPrefix, openEtcd } from './etcd-support.ts';
import { create, put } from '../support.ts';

const skip = lacking('etcd');
const LONG_MS = 60_000;

describe('the queue of writers', () => {
  it('lets so many in at once, the others in the order in which they came', async () => {
    const queue = createWriteQueue(3);
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    const runs = Array.from({ length: 9 }, (_, i) =>
      queue.run(LONG_MS, async () => {
        begun.push(i);
        await new Promise<void>((resolve) => {
          ends.push(resolve);
        });
      }),
    );
    for (let ended = 0; ended < 9; ended++) {
      const most = Math.min(9, 3 + ended);
      await waitFor(`${most} to have begun`, () => begun.length === most);
      // A write that must not begin has had the time to.
      await sleep(5);
      assert.equal(begun.length, most);
      ends.shift()?.();
    }
    await Promise.all(runs);
    assert.deepEqual(begun, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  });

  it('refuses writers that have waited too long, does nothing for them, and keeps no place for them', async () => {
    const queue = createWriteQueue(1);
    let end = (): void => undefined;
    const first = queue.run(
      LONG_MS,
      () =>
        new Promise<void>((resolve) => {
          end = resolve;
        }),
    );
    let runs = 0;
    const late = [1, 2].map(() =>
      queue.run(20, async () => {
        runs++;
        await Promise.resolve();
      }),
    );
    const last = queue.run(LONG_MS, (waitedMs) => Promise.resolve(waitedMs));
    for (const { status, ...settled } of await Promise.allSettled(late)) {
      assert.equal(status, 'rejected');
      const { code, retryAfter, message } = (settled as { reason: BrokerError }).reason;
      assert.deepEqual([code, retryAfter], ['unavailable', 1]);
      assert.match(message, /has waited 20 ms for its turn, and nothing was written/);
    }
    end();
    await first;
    assert.ok((await last) > 0);
    assert.equal(await queue.run(LONG_MS, (waitedMs) => Promise.resolve(waitedMs)), 0);
    assert.equal(runs, 0);
  });

  it('goes on after one that fails', async () => {
    const queue = createWriteQueue(1);
    const failing = queue.run(LONG_MS, () => Promise.reject(new Error('no')));
    const next = queue.run(LONG_MS, () => Promise.resolve('done'));
    await assert.rejects(failing, /no/);
    assert.equal(await next, 'done');
  });
});

describe('a registry in etcd that many ask at once', { skip, timeout: 120_000 }, () => {
  let cluster: EtcdCluster;

  before(async () => {
    cluster = await startEtcd({ members: 1 });
  });

  /** A registry, with what is done before each request is passed on. */
  async function opened<T>(
    intercept: (path: string, pass: () => Promise<Response>) => Promise<Response>,
    options: Partial<EtcdStoreOptions>,
    use: (store: EtcdStore) => Promise<T>,
  ): Promise<T> {
    const { endpoints } = cluster;
    const fetch = interceptedFetch((path, _, pass) => intercept(path, pass));
    const store = await openEtcd({ endpoints, prefix: newPrefix(), fetch, ...options });
    try {
      return await use(store);
    } finally {
      await store.close();
    }
  }

  it('does every write, though all take longer than one may, and reads go on beside them', async () => {
    const WRITES = 640;
    let [now, most] = [0, 0];
    const slow = async (path: string, pass: () => Promise<Response>): Promise<Response> => {
      if (path !== '/v3/kv/txn') return await pass();
      most = Math.max(most, ++now);
      try {
        // A tenth of all at once, so ten times that is longer than the limit of one.
        await sleep(600);
        return await pass();
      } finally {
        now--;
      }
    };
    await opened(slow, { timeoutMs: 5000 }, async (store) => {
      let written = 0;
      let writtenAtRead = WRITES;
      const writing = Array.from({ length: WRITES }, async (_, i) => {
        await store.mutate(`node/${i}`, create('x'));
        written++;
      });
      await waitFor('some to be written', () => written > 0);
      const reading = store.count('node/').then(() => (writtenAtRead = written));
      await Promise.all([...writing, reading]);
      assert.equal(await store.count('node/'), WRITES);
      assert.ok(most <= 64, `${most} at once`);
      assert.ok(writtenAtRead < WRITES, 'the read had to wait for all writes');
      assert.equal(store.health().writable, true);
    });
  });

  it('sends no waiting write once etcd is known to be silent', async () => {
    let sent = 0;
    const counting = (path: string, pass: () => Promise<Response>): Promise<Response> => {
      if (path === '/v3/kv/txn') sent++;
      return pass();
    };
    await opened(counting, { timeoutMs: 5000 }, async (store) => {
      const [member] = cluster.members;
      sent = 0;
      member?.signal('SIGSTOP');
      try {
        const writing = Array.from({ length: 200 }, (_, i) => store.mutate(`silent/${i}`, create('x')));
        const codes = (await Promise.allSettled(writing)).map((settled) =>
          settled.status === 'rejected' ? (settled.reason as BrokerError).code : settled.status,
        );
        const refused = codes.filter((code) => code === 'unavailable').length;
        assert.ok(refused >= 200 - 64, JSON.stringify(codes));
        assert.ok(!codes.includes('fulfilled'), JSON.stringify(codes));
        assert.ok(sent <= 64, `${sent} were sent`);
      } finally {
        member?.signal('SIGCONT');
      }
      await waitFor('etcd to answer again', () => store.health().writable);
    });
  });

  it('says of each write of one entry that etcd does not answer, however long it waited for another', async () => {
    let isLost = false;
    const losing = (path: string, pass: () => Promise<Response>): Promise<Response> =>
      isLost && path === '/v3/kv/txn'
        ? Promise.reject(Object.assign(new Error('no route'), { code: 'ECONNREFUSED' }))
        : pass();
    await opened(losing, { timeoutMs: 3000 }, async (store) => {
      await store.mutate('held', put('x'));
      isLost = true;
      const guard = { name: 'held', check: () => undefined };
      const writing = [
        store.mutate('held', put('first')),
        store.mutate('held', put('second')),
        store.mutate('other', put('x'), guard),
      ];
      for (const { status, ...settled } of await Promise.allSettled(writing)) {
        assert.equal(status, 'rejected');
        const { code, message } = (settled as { reason: BrokerError }).reason;
        assert.deepEqual([code, /etcd does not answer/.test(message)], ['unavailable', true], message);
      }
    });
  });

  it('asks what is left of a lifetime once or twice for any number of simultaneous requests', async () => {
    let asked = 0;
    const counting = (path: string, pass: () => Promise<Response>): Promise<Response> => {
      if (path === '/v3/lease/timetolive') asked++;
      return pass();
    };
    await opened(counting, {}, async (store) => {
      await store.mutate('mortal', put('x', 60_000));
      await store.mutate('other', put('x', 30_000));
      const all = Array.from({ length: 200 }, (_, i) => store.lifetimeLeft(i % 2 === 0 ? 'mortal' : 'other'));
      for (const [i, left] of (await Promise.all(all)).entries()) {
        const whole = i % 2 === 0 ? 60_000 : 30_000;
        assert.ok(left !== undefined && left <= whole && left > whole / 2, `${left} of ${whole} ms`);
      }
      assert.ok(asked <= 4, `asked ${asked} times`);
      asked = 0;
      await store.lifetimeLeft('mortal');
      assert.equal(asked, 1);
    });
  });
});
