import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { createApp } from '../../src/api/create-app.ts';
import { type BrokerClient, connect } from '../../src/client/client.ts';
import type { BrokerError } from '../../src/protocol/errors.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import type { Store } from '../../src/store/store.ts';
import { put, remove } from '../store/support.ts';
import { waitFor } from '../support/wait.ts';

interface Served {
  readonly store: Store;
  readonly client: BrokerClient;
  /** The client's lines for people. */
  readonly notes: string[];
  /** Has the broker answer no more, or again. */
  setDeaf(deaf: boolean): void;
  /** Has its answers to registrations come so many milliseconds late, and says of each that it is there. */
  setSlow(ms: number, onAnswer: () => void): void;
  /** How often it was asked for a renewal. */
  renewals(): number;
  /** How many requests it got. */
  requests(): number;
}

/** A broker in this process, and a client of it that no network is between. */
async function serve(): Promise<Served> {
  const store = memoryStore();
  const app = createApp({ store });
  const notes: string[] = [];
  let deaf = false;
  let renewals = 0;
  let requests = 0;
  let slow: { readonly ms: number; readonly onAnswer: () => void } | undefined;
  const client = await connect({
    broker: 'https://app.test',
    notify: (line) => notes.push(line),
    async fetch(...args) {
      const request = new Request(...args);
      requests++;
      if (request.url.endsWith('/Renew')) renewals++;
      if (slow && request.url.endsWith('/Register')) {
        const answer = await app.fetch(request);
        await sleep(slow.ms);
        slow.onAnswer();
        return answer;
      }
      if (!deaf) return app.fetch(request);
      return new Promise((_, reject) => {
        request.signal.addEventListener('abort', () => reject(new Error('aborted')));
      });
    },
  });
  return {
    store,
    client,
    notes,
    setDeaf: (now) => (deaf = now),
    setSlow: (ms, onAnswer) => (slow = { ms, onAnswer }),
    renewals: () => renewals,
    requests: () => requests,
  };
}

const lost = { name: 'BrokerError', code: 'lock_lost', exitCode: 1 };
const dataOf = async (store: Store, name = 'lock'): Promise<unknown> => (await store.get(name))?.data['_str'];

describe('client.withLock()', () => {
  it('holds the entry while the work runs, and returns the result of the work', async () => {
    const { store, client } = await serve();
    const result = await client.withLock('lock', { data: 'mine' }, async (lock) => {
      assert.equal(await dataOf(store), 'mine');
      assert.equal((await store.get('lock'))?.ttlMs, 10_000);
      assert.deepEqual([lock.name, lock.revision], ['lock', store.revision]);
      assert.equal(lock.isHeld(), true);
      return 42;
    });
    assert.equal(result, 42);
    assert.equal(await store.get('lock'), undefined);
  });

  it('releases it when the work throws, and throws the same', async () => {
    const { store, client } = await serve();
    const error = new Error('work');
    await assert.rejects(
      client.withLock('lock', {}, () => Promise.reject(error)),
      (thrown) => thrown === error,
    );
    assert.equal(await store.get('lock'), undefined);
  });

  it('throws already_exists while another holds it, and with wait gets it in turn', async () => {
    const { client } = await serve();
    const order: number[] = [];
    await client.withLock('lock', {}, async () => {
      await assert.rejects(
        client.withLock('lock', {}, () => 1),
        { code: 'already_exists', message: "Lock 'lock' is held by another" },
      );
      const late = client.withLock('lock', { wait: true, timeoutMs: 50 }, () => 1);
      await assert.rejects(late, { code: 'timeout' });
      const gone = client.withLock('lock', { wait: true, signal: AbortSignal.timeout(50) }, () => 1);
      await assert.rejects(gone, { name: 'TimeoutError' });
      for (const n of [1, 2, 3]) {
        void client.withLock('lock', { wait: true }, () => order.push(n));
        await sleep(20);
      }
    });
    await waitFor('the others', () => order.length === 3);
    assert.deepEqual(order, [1, 2, 3]);
  });

  it('renews it at a third of its lifetime, for as long as the work takes', async () => {
    const { store, client, renewals } = await serve();
    // Each renewal has 2.5 s left, in which a busy machine may stop this process.
    await client.withLock('lock', { ttlMs: 6000 }, async (lock) => {
      const { revision } = lock;
      await waitFor('more than a lifetime', () => renewals() >= 4);
      assert.equal((await store.get('lock'))?.revision, revision);
      assert.equal(lock.signal.aborted, false);
    });
    assert.equal(await store.get('lock'), undefined);
    const after = renewals();
    await sleep(3000);
    assert.equal(renewals(), after, 'and no longer');
  });

  it('is lost when the entry is deleted, or another has it, whose entry is left alone', async () => {
    for (const change of [remove, put('another')]) {
      const { store, client } = await serve();
      let aborted: unknown;
      const work = client.withLock('lock', { ttlMs: 1000 }, async (lock) => {
        await store.mutate('lock', change);
        await waitFor('the loss', () => lock.signal.aborted);
        aborted = lock.signal.reason;
        assert.equal(lock.isHeld(), false);
        return 'done';
      });
      await assert.rejects(work, lost);
      assert.equal((aborted as BrokerError).code, 'lock_lost');
      assert.equal(await dataOf(store), change === remove ? undefined : 'another');
    }
  });

  it('is lost while its lifetime still runs when the broker does not answer', async () => {
    const { store, client, setDeaf, notes } = await serve();
    // A quarter of it lies between the loss and the end: a busy machine may stop this process for as long.
    const work = client.withLock('lock', { ttlMs: 8000 }, async (lock) => {
      setDeaf(true);
      await waitFor('the loss', () => lock.signal.aborted);
      assert.ok(await store.get('lock'), 'nobody else can have it yet');
    });
    await assert.rejects(work, (error: BrokerError) => {
      assert.match(error.message, /^Lock 'lock' was lost: it could not be renewed in time: no answer/i);
      return error.code === 'lock_lost';
    });
    assert.match(notes.join(), /out of reach/);
    await waitFor('the end of its lifetime', async () => (await store.get('lock')) === undefined);
  });

  it('outlives a broker that does not answer for less than its lifetime', async () => {
    const { client, setDeaf, renewals } = await serve();
    await client.withLock('lock', { ttlMs: 8000 }, async (lock) => {
      setDeaf(true);
      await waitFor('a renewal in vain', () => renewals() > 0);
      setDeaf(false);
      const before = renewals();
      await waitFor('more renewals', () => renewals() > before + 2);
      assert.equal(lock.isHeld(), true);
    });
  });

  it('says what the work threw as the cause when the lock was lost meanwhile', async () => {
    const { store, client } = await serve();
    const mine = new Error('mine');
    const work = client.withLock('lock', { ttlMs: 1000 }, async (lock) => {
      await store.mutate('lock', remove);
      await waitFor('the loss', () => lock.signal.aborted);
      throw mine;
    });
    await assert.rejects(work, (error: BrokerError) => error.code === 'lock_lost' && error.cause === mine);
  });

  it('makes writes conditional on it', async () => {
    const { store, client } = await serve();
    await client.withLock('lock', {}, async (lock) => {
      await client.replace('foo', 'a', { ifLocked: lock });
      await store.mutate('lock', put('another'));
      for (const write of [
        client.replace('foo', 'b', { ifLocked: lock }),
        client.update('foo', 'b', { ifLocked: lock }),
        client.register('new', 'b', { ifLocked: lock }),
        client.delete('foo', { ifLocked: lock }),
      ])
        await assert.rejects(write, { code: 'revision_conflict' });
      assert.equal(await dataOf(store, 'foo'), 'a');
    });
  });

  it('refuses options that are wrong, and names them', async () => {
    const { client } = await serve();
    for (const [options, message] of [
      [{ ttlMs: 999 }, /'ttlMs' is 999; expected a lifetime in milliseconds, from 1000 on/],
      [{ ttl: 1000 }, /'ttl' is unknown; did you mean 'ttlMs'\?/],
      [{ wait: 'yes' }, /'wait' is "yes"/],
    ] as const)
      await assert.rejects(client.lock('lock', options as object), { code: 'usage', message });
  });
});

describe('client.lock()', () => {
  it('holds it until it is released, once, and by await using', async () => {
    const { store, client } = await serve();
    const lock = await client.lock('lock');
    await Promise.all([lock.release(), lock.release()]);
    assert.equal(await store.get('lock'), undefined);
    assert.deepEqual([lock.isHeld(), lock.signal.aborted], [false, false]);
    const other = await client.lock('lock');
    await lock.release();
    assert.ok(other.isHeld() && (await store.get('lock')), 'an earlier one does not release it');
    await other[Symbol.asyncDispose]();
    assert.equal(await store.get('lock'), undefined);
    assert.ok(other.revision > lock.revision);
  });

  it('says when it cannot be released, and throws nothing', async () => {
    const { client, setDeaf, notes } = await serve();
    const lock = await client.lock('lock', { ttlMs: 1500 });
    setDeaf(true);
    await lock.release();
    assert.match(notes.join('\n'), /^Lock 'lock' could not be released \(No answer.*\): it expires in .*$/m);
  });

  it('gives up in time when the broker falls silent after the registration, and nothing has shown that the lock is held', async () => {
    const givesUp = async (wait: boolean): Promise<void> => {
      const { client, setSlow, setDeaf } = await serve();
      // Longer than a third of the lifetime, so that only a renewal could show that it is held.
      setSlow(2400, () => setDeaf(true));
      // Much longer than the registration, which may take seconds more on a busy machine.
      const options = { wait, ttlMs: 6000, timeoutMs: 10_000 };
      await assert.rejects(client.lock('lock', options), { code: 'timeout' });
    };
    await Promise.all([givesUp(true), givesUp(false)]);
  });

  it('leaves nothing behind for a caller that gave up as the lock was taken', async () => {
    const { store, client } = await serve();
    await store.mutate('lock', put('first'));
    for (let i = 0; i < 20; i++) {
      const controller = new AbortController();
      const taking = client.lock('lock', { wait: true, signal: controller.signal });
      await sleep(5);
      await store.mutate('lock', remove);
      if (i % 2 === 0) await sleep(0);
      controller.abort();
      await taking.then(
        (lock) => lock.release(),
        () => undefined,
      );
      await waitFor('a free lock', async () => (await store.get('lock')) === undefined);
      await store.mutate('lock', put('first'));
    }
  });
});

describe('client.close()', () => {
  it('ends the renewals of its locks, which count as lost at once and expire', async () => {
    const { store, client, requests } = await serve();
    const lock = await client.lock('lock', { ttlMs: 6000 });
    await waitFor('a renewal', () => requests() > 2);
    client.close();
    const sent = requests();
    assert.equal(lock.isHeld(), false);
    const { code, message } = lock.signal.reason as BrokerError;
    assert.deepEqual([code, message], ['lock_lost', "Lock 'lock' was lost: its client has been closed"]);
    await lock.release();
    await waitFor('the end of its lifetime', async () => (await store.get('lock')) === undefined);
    assert.equal(requests(), sent);
  });

  it('ends a wait for a lock', async () => {
    const { store, client, requests } = await serve();
    await store.mutate('lock', put('another'));
    const sent = requests();
    const waiting = client.lock('lock', { wait: true, timeoutMs: 20_000 });
    await waitFor('the request', () => requests() > sent);
    client.close();
    await assert.rejects(waiting, { code: 'usage', message: /has been closed/ });
    await assert.rejects(client.lock('other'), { code: 'usage', message: /has been closed/ });
    assert.equal(requests(), sent + 1);
  });
});
