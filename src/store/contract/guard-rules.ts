import assert from 'node:assert/strict';
import { BrokerError } from '../../protocol/errors.ts';
import type { Guard } from '../store.ts';
import { put, remove } from './mutations.ts';
import type { Rules } from './rule.ts';

const at = (name: string, revision: number): Guard => ({
  name,
  check(current) {
    if (current?.revision !== revision)
      throw new BrokerError('revision_conflict', `${name} is not at revision ${revision}`);
  },
});

/** The rules about the guard of a mutation. */
export function guardRules({ group, rule }: Rules): void {
  group('mutate() with a guard', () => {
    rule('stores where the guard agrees, and shows it the present entry', async (store) => {
      const { revision } = await store.mutate('lock', put('holder'));
      await store.mutate('foo', put('a'), at('lock', revision));
      assert.equal((await store.get('foo'))?.data['_str'], 'a');
      const seen: unknown[] = [];
      await store.mutate('foo', put('b'), { name: 'none', check: (current) => seen.push(current) });
      assert.equal(seen.at(-1), undefined);
      assert.equal((await store.get('lock'))?.revision, revision, 'what guards is not changed');
    });

    rule('refuses as the guard does, and changes nothing', async (store) => {
      const first = await store.mutate('lock', put('one'));
      await store.mutate('lock', put('two'));
      const { revision } = store;
      const refused = at('lock', first.revision);
      for (const mutation of [put('a'), remove])
        await assert.rejects(store.mutate('foo', mutation, refused), { code: 'revision_conflict' });
      assert.equal(await store.get('foo'), undefined);
      assert.equal(store.revision, revision);
    });

    rule('guards the very entry that is mutated', async (store) => {
      const { revision } = await store.mutate('lock', put('one'));
      await store.mutate('lock', put('two'), at('lock', revision));
      await assert.rejects(store.mutate('lock', put('three'), at('lock', revision)));
      assert.equal((await store.get('lock'))?.data['_str'], 'two');
    });

    rule('sees a write of the guarding entry that is still in progress', async (store) => {
      const { revision } = await store.mutate('lock', put('one'));
      const results = await Promise.allSettled([
        store.mutate('foo', put('before'), at('lock', revision)),
        store.mutate('lock', remove),
        store.mutate('bar', put('after'), at('lock', revision)),
      ]);
      const gone = results[1].status === 'fulfilled' ? results[1].value.revision : 0;
      for (const [name, result] of [
        ['foo', results[0]],
        ['bar', results[2]],
      ] as const) {
        // A driver may run them in another order. A stored value was then stored before the guarding entry
        // was gone.
        const stored = await store.get(name);
        assert.equal(result.status === 'fulfilled', stored !== undefined, name);
        if (stored) assert.ok(stored.revision < gone, `${name} was stored behind the end of its guard`);
      }
    });

    rule('settles a refusal by the guard only once the write that it saw can be read', async (store) => {
      for (let i = 0; i < 20; i++) {
        const { revision } = await store.mutate('lock', put('held'));
        const write = store.mutate('lock', put(`n${i}`));
        const refusal = store.mutate('foo', put('a'), at('lock', revision));
        await assert.rejects(refusal, { code: 'revision_conflict' });
        assert.equal((await store.get('lock'))?.data['_str'], `n${i}`);
        await write;
      }
    });

    rule('lets no write of a former holder come after one of its successor', async (store) => {
      let holder = await store.mutate('lock', put('holder 0'));
      for (let i = 1; i <= 50; i++) {
        const former = holder;
        const [late, next] = await Promise.all([
          store.mutate('foo', put(`late ${i}`), at('lock', former.revision)).catch(() => undefined),
          store.mutate('lock', put(`holder ${i}`)),
        ]);
        if (late) assert.ok(late.revision < next.revision);
        await assert.rejects(store.mutate('foo', put('too late'), at('lock', former.revision)));
        holder = next;
      }
    });
  });
}
