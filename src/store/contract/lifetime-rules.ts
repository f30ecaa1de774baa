import assert from 'node:assert/strict';
import { eventually, put, take } from './mutations.ts';
import type { Rules } from './rule.ts';

/** The rules about lifetimes. */
export function lifetimeRules({ group, rule, durableRule }: Rules, shortTtlMs: number): void {
  group('lifetimes', () => {
    rule('end an entry, which a watch reports as expired', async (store) => {
      const watch = store.watch({ name: 'foo' });
      const { entry } = await store.mutate('foo', put('a', shortTtlMs));
      assert.equal(entry?.ttlMs, shortTtlMs);
      const [, gone] = await take(watch, 2);
      assert.ok(gone?.type === 'expire' && gone.name === 'foo');
      assert.equal(await store.get('foo'), undefined);
      await watch.return?.();
    });

    rule('are renewed without a new revision', async (store) => {
      const written = await store.mutate('foo', put('a', shortTtlMs * 2));
      const until = performance.now() + shortTtlMs * 5;
      while (performance.now() < until) {
        const renewed = await store.mutate('foo', (current) => {
          assert.ok(current, 'the entry expired in spite of its renewals');
          return { action: 'renew' };
        });
        assert.equal(renewed.entry?.revision, written.revision);
        await new Promise((resolve) => {
          setTimeout(resolve, shortTtlMs / 4);
        });
      }
      await eventually('the entry to expire', async () => (await store.get('foo')) === undefined);
    });

    rule('say how long they last, and start again with a renewal', async (store) => {
      assert.equal(await store.lifetimeLeft('foo'), undefined, 'no entry');
      await store.mutate('foo', put('a', 60_000));
      const first = await store.lifetimeLeft('foo');
      assert.ok(first !== undefined && first > 30_000 && first <= 60_000, String(first));
      await new Promise((resolve) => {
        setTimeout(resolve, shortTtlMs);
      });
      const later = await store.lifetimeLeft('foo');
      assert.ok(later !== undefined && later < first, `${later} after ${first}`);
      await store.mutate('foo', () => ({ action: 'renew' }));
      const renewed = await store.lifetimeLeft('foo');
      assert.ok(renewed !== undefined && renewed > later, `${renewed} after ${later}`);
      await store.mutate('foo', put('b'));
      assert.equal(await store.lifetimeLeft('foo'), undefined, 'no lifetime');
    });

    rule('end with a write that has none', async (store) => {
      await store.mutate('foo', put('a', shortTtlMs));
      const { entry } = await store.mutate('foo', put('b'));
      assert.equal(entry?.ttlMs, undefined);
      await new Promise((resolve) => {
        setTimeout(resolve, shortTtlMs * 2);
      });
      assert.equal((await store.get('foo'))?.data['_str'], 'b');
    });

    durableRule('survive a reopening', async (store, { reopen }) => {
      await store.mutate('short', put('a', shortTtlMs));
      await store.mutate('long', put('b', 3_600_000));
      const again = await reopen();
      assert.equal((await again.get('long'))?.ttlMs, 3_600_000);
      await eventually('the entry to expire', async () => (await again.get('short')) === undefined);
      assert.equal((await again.get('long'))?.data['_str'], 'b');
    });
  });
}
