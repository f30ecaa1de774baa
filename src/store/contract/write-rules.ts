import assert from 'node:assert/strict';
import type { Entry } from '../../protocol/registry/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { Mutation } from '../store.ts';
import type { Rules } from './rule.ts';
import { create, IP, put, remove, TS } from './mutations.ts';

const increment: Mutation = (current) => put({ n: Number(current?.data['n'] ?? 0) + 1 })(current);

/** The rules about `mutate`. */
export function writeRules({ group, rule, durableRule }: Rules): void {
  group('mutate()', () => {
    rule('stores what the mutation decides, with a revision', async (store) => {
      const before = store.revision;
      const { entry, revision } = await store.mutate('foo', put({ key: 'special data' }));
      assert.ok(revision > before);
      const expected = {
        name: 'foo',
        data: { key: 'special data' },
        lastWriteTs: TS,
        lastWriteIp: IP,
        revision,
      };
      assert.deepEqual(entry, expected);
      assert.deepEqual(await store.get('foo'), expected);
      assert.ok(store.revision >= revision);
    });

    rule('names the revision of its state, also where nothing changed', async (store) => {
      await store.mutate('foo', put('1'));
      const [removed, again, written] = await Promise.all([
        store.mutate('foo', remove),
        store.mutate('foo', remove),
        store.mutate('foo', put('2')),
        store.mutate('bar', put('3')),
      ]);
      assert.equal(again.entry, undefined);
      assert.ok(again.revision >= removed.revision && again.revision < written.revision);
    });

    rule('shows the mutation the present entry', async (store) => {
      const seen: (Entry | undefined)[] = [];
      const record: Mutation = (current) => {
        seen.push(current);
        return put('x')(current);
      };
      await store.mutate('foo', record);
      const { entry } = await store.mutate('foo', record);
      assert.equal(seen[0], undefined);
      assert.equal(seen.at(-1)?.data['_str'], 'x');
      assert.ok((entry?.revision ?? 0) > (seen.at(-1)?.revision ?? 0));
    });

    rule('lets one of 200 simultaneous creations succeed', async (store) => {
      const results = await Promise.allSettled(
        Array.from({ length: 200 }, (_, i) => store.mutate('foo', create(`c${i}`))),
      );
      const winners = results.flatMap((result, i) => (result.status === 'fulfilled' ? [i] : []));
      assert.equal(winners.length, 1);
      assert.equal((await store.get('foo'))?.data['_str'], `c${winners[0]}`);
      for (const result of results) {
        if (result.status === 'rejected') assert.equal((result.reason as BrokerError).code, 'already_exists');
      }
    });

    rule('loses none of 100 simultaneous increments of one entry', async (store) => {
      const results = await Promise.all(Array.from({ length: 100 }, () => store.mutate('n', increment)));
      assert.equal((await store.get('n'))?.data['n'], 100);
      assert.equal(new Set(results.map((result) => result.revision)).size, 100);
      assert.equal(new Set(results.map((result) => result.entry?.data['n'])).size, 100);
    });

    rule('lets one of the conditional writes on the same revision succeed', async (store) => {
      const { revision } = await store.mutate('foo', put('0'));
      const conditional =
        (text: string): Mutation =>
        (current) => {
          if (current?.revision !== revision) throw new BrokerError('revision_conflict', 'changed');
          return put(text)(current);
        };
      const results = await Promise.allSettled(
        Array.from({ length: 20 }, (_, i) => store.mutate('foo', conditional(String(i)))),
      );
      assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1);
    });

    rule('throws what the mutation threw, and changes nothing', async (store) => {
      await store.mutate('foo', put('a'));
      const { revision } = store;
      const refusal = new BrokerError('revision_conflict', 'no');
      await assert.rejects(
        store.mutate('foo', () => {
          throw refusal;
        }),
        (thrown) => thrown === refusal,
      );
      assert.equal((await store.get('foo'))?.data['_str'], 'a');
      assert.equal(store.revision, revision);
    });

    rule('settles a refusal only once the write it saw can be read', async (store) => {
      for (let i = 0; i < 20; i++) {
        const name = `n${i}`;
        const write = store.mutate(name, put('a'));
        await assert.rejects(store.mutate(name, create('b')), { code: 'already_exists' });
        assert.equal((await store.get(name))?.data['_str'], 'a');
        await write;
      }
    });

    rule('settles a decision to keep only once the write it saw can be read', async (store) => {
      const write = store.mutate('foo', put('a'));
      const { entry, revision } = await store.mutate('foo', () => ({ action: 'keep' }));
      assert.equal(entry?.data['_str'], 'a');
      assert.ok(revision >= entry.revision);
      assert.deepEqual(await store.get('foo'), entry);
      await write;
    });

    rule('keeps and deletes nothing without raising the revision', async (store) => {
      await store.mutate('foo', put('a'));
      const { revision } = store;
      assert.deepEqual(await store.mutate('none', remove), { revision });
      assert.deepEqual(await store.mutate('none', () => ({ action: 'keep' })), { revision });
      assert.equal((await store.mutate('foo', () => ({ action: 'keep' }))).entry?.data['_str'], 'a');
      assert.equal(store.revision, revision);
    });

    rule('deletes, and a new entry of that name has a greater revision', async (store) => {
      const first = await store.mutate('foo', put('a'));
      const gone = await store.mutate('foo', remove);
      assert.equal(gone.entry, undefined);
      assert.ok(gone.revision > first.revision);
      assert.equal(await store.get('foo'), undefined);
      assert.ok((await store.mutate('foo', create('b'))).revision > gone.revision);
    });

    rule('accepts writes, deletions and refusals of one entry at once, in their order', async (store) => {
      const results = await Promise.allSettled([
        store.mutate('foo', create('a')),
        store.mutate('foo', remove),
        store.mutate('foo', create('b')),
        store.mutate('foo', create('c')),
      ]);
      // A driver that retries may run them in another order; even then no two creations have seen one state.
      const present = await store.get('foo');
      assert.ok(results.slice(0, 2).every((result) => result.status === 'fulfilled') || present);
      assert.ok(results.some((result) => result.status === 'rejected'));
    });

    durableRule(
      'stores 1 MiB of data and odd names and keys, also across a reopening',
      async (store, { reopen }) => {
        const odd = {
          '10': 'ten',
          '2': ['b', null, 1.5, -0, { deep: true }],
          toString: '\u2028"\\\n',
          '': '',
        };
        const names = [
          'toString',
          'constructor',
          '10',
          '2',
          'mit Leerzeichen',
          'ünï/¢ødé',
          '😀',
          '"\\',
          'hasOwnProperty',
        ];
        const big = { blob: 'ü😀x'.repeat(116_000) };
        await Promise.all(names.map((name) => store.mutate(name, put({ ...odd, name }))));
        await store.mutate('big', put(big));
        const again = await reopen();
        for (const name of names) {
          assert.deepEqual((await again.get(name))?.data, JSON.parse(JSON.stringify({ ...odd, name })), name);
        }
        assert.deepEqual((await again.get('big'))?.data, big);
        assert.equal(await again.count(''), names.length + 1);
      },
    );

    rule('is refused after close()', async (store) => {
      await store.close();
      await assert.rejects(store.mutate('foo', put('a')), { code: 'unavailable' });
    });

    durableRule('settles all writes in progress before close()', async (store, { reopen }) => {
      const writes = Array.from({ length: 50 }, (_, i) => store.mutate(`n${i}`, put('a')));
      const again = await reopen();
      await Promise.all(writes);
      assert.equal(await again.count('n'), 50);
    });
  });
}
