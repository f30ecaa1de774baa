import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { storeContract } from '../../../src/store/contract/index.ts';
import { memoryStore } from '../../../src/store/memory/memory-store.ts';
import { put, take } from '../support.ts';

storeContract({
  driver: 'memory driver',
  describe,
  it,
  durable: false,
  // Twice that must outlast a pause of half a second, which the store does not take for a stopped process.
  shortTtlMs: 500,
  async open() {
    const store = memoryStore();
    return {
      store,
      reopen: () => Promise.reject(new Error('A registry in memory cannot be opened anew')),
      dispose: () => store.close(),
    };
  },
});

describe('memoryStore()', () => {
  it('holds the entries to its limit, and says what they take', async () => {
    const store = memoryStore({ maxBytes: 2000 });
    await store.mutate('a', put('x'.repeat(900)));
    await assert.rejects(store.mutate('b', put('x'.repeat(900))), { code: 'storage_full' });
    const { usage } = store.health();
    assert.ok(usage && usage.bytes > 1400 && usage.bytes <= 2000 && usage.maxBytes === 2000);
    await store.mutate('a', put('x'));
    await store.mutate('b', put('x'.repeat(900)));
  });

  it('says reset to a watch that resumes from before its history', async () => {
    const store = memoryStore({ historyChanges: 3 });
    for (let i = 0; i < 5; i++) await store.mutate('a', put(String(i)));
    const [first] = await take(store.watch({ after: 1 }), 1);
    assert.deepEqual(first, { type: 'reset', revision: 5 });
    const [next] = await take(store.watch({ after: 4 }), 1);
    assert.equal(next?.revision, 5);
  });

  it('ends at its use an entry whose timer never came', async () => {
    const real = globalThis.setTimeout;
    // A platform that stops timers between requests. Those of others, in the same process, go on.
    const isOurs = (): boolean => (new Error('where').stack ?? '').includes('store/memory/expiry');
    globalThis.setTimeout = ((run: () => void, ms: number, ...given: []) =>
      isOurs() ? {} : real(run, ms, ...given)) as unknown as typeof setTimeout;
    try {
      const store = memoryStore();
      await store.mutate('short', put('a', 1));
      await store.mutate('long', put('a', 3_600_000));
      const watch = store.watch({ name: 'short' });
      const pass = async (ms: number): Promise<void> => {
        const past = performance.now() + ms;
        while (performance.now() < past) await new Promise((resolve) => setImmediate(resolve));
      };
      await pass(1100);
      // A process that was stopped would have renewals to read now.
      assert.ok(await store.get('short'));
      await pass(3100);
      assert.equal(await store.get('short'), undefined);
      assert.equal(await store.count(''), 1);
      const { value } = await watch.next();
      assert.equal(value?.type, 'expire');
      await store.close();
    } finally {
      globalThis.setTimeout = real;
    }
  });

  it('keeps an entry whose renewal is read late, after the process was stopped', async () => {
    const store = memoryStore();
    await store.mutate('lock', put('a', 300));
    const past = performance.now() + 1500;
    while (performance.now() < past);
    const { entry } = await store.mutate('lock', () => ({ action: 'renew' }));
    assert.equal(entry?.name, 'lock');
    await store.close();
  });

  it('refuses a limit that is none, and names it', () => {
    for (const value of [0, -1, NaN, '5' as unknown as number]) {
      assert.throws(
        () => memoryStore({ maxBytes: value }),
        new RegExp(
          `'maxBytes' is ${JSON.stringify(value).replace('null', 'NaN')}; expected a number of bytes above 0`,
        ),
      );
    }
  });
});
