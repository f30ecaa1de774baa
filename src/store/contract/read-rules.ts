import assert from 'node:assert/strict';
import type { BrokerError } from '../../protocol/errors.ts';
import { resolveWithin } from '../../protocol/timeout.ts';
import type { Rules } from './rule.ts';
import { PATIENCE_MS, put, remove, take } from './mutations.ts';

/** The rules about lists, counts, waits and watches. */
export function readRules({ group, rule, durableRule }: Rules): void {
  group('list() and count()', () => {
    const names = [
      'a',
      'a/',
      'a/1',
      'a/10',
      'a/2',
      'a0',
      'b',
      'é',
      '\uff5e',
      '\u{1f600}',
      '10',
      '9',
      'A',
      '~',
      'a b',
    ];
    const inByteOrder = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));

    rule('return entries in the byte order of their names', async (store) => {
      for (const name of names) await store.mutate(name, put(name));
      const page = await store.list();
      assert.deepEqual(
        page.entries.map((entry) => entry.name),
        inByteOrder,
      );
      assert.equal(page.next, undefined);
      assert.equal(page.revision, store.revision);
    });

    rule('page without losing or repeating an entry', async (store) => {
      for (const name of names) await store.mutate(name, put(name));
      for (const limit of [1, 2, 7, 15, 16]) {
        const seen: string[] = [];
        let after: string | undefined;
        do {
          const page = await store.list(after === undefined ? { limit } : { limit, after });
          assert.ok(page.entries.length <= limit);
          seen.push(...page.entries.map((entry) => entry.name));
          after = page.next;
        } while (after !== undefined);
        assert.deepEqual(seen, inByteOrder);
      }
    });

    rule('keep to a prefix', async (store) => {
      for (const name of names) await store.mutate(name, put(name));
      const page = await store.list({ prefix: 'a/', limit: 2 });
      assert.deepEqual(
        page.entries.map((entry) => entry.name),
        ['a/', 'a/1'],
      );
      const rest = await store.list({ prefix: 'a/', after: page.next ?? '' });
      assert.deepEqual(
        rest.entries.map((entry) => entry.name),
        ['a/10', 'a/2'],
      );
      assert.equal(await store.count('a/'), 4);
      assert.equal(await store.count(''), names.length);
      assert.equal(await store.count('zz'), 0);
      assert.deepEqual((await store.list({ prefix: 'b', after: 'c' })).entries, []);
      assert.deepEqual(
        (await store.list({ prefix: 'b', after: 'a' })).entries.map((entry) => entry.name),
        ['b'],
      );
    });

    rule('return at most 1000 entries unless asked for more', async (store) => {
      // A few at a time: a store may refuse writes that have to wait for long.
      for (let i = 0; i < 1005; i += 67)
        await Promise.all(Array.from({ length: 67 }, (_, j) => store.mutate(`n${i + j}`, put('x'))));
      const page = await store.list();
      assert.equal(page.entries.length, 1000);
      assert.equal((await store.list({ after: page.next ?? '' })).entries.length, 5);
      assert.equal((await store.list({ limit: 2000 })).entries.length, 1005);
    });
  });

  group('waitForEntry() and waitForCount()', () => {
    rule('return at once what exists', async (store) => {
      const { entry } = await store.mutate('a/1', put('x'));
      assert.deepEqual(await store.waitForEntry('a/1', never()), entry);
      const { count, revision } = await store.waitForCount('a/', 1, never());
      assert.ok(count === 1 && revision <= store.revision);
      assert.equal((await store.waitForCount('none', 0, never())).count, 0);
    });

    rule('return what a later write makes, in any order', async (store) => {
      const entry = store.waitForEntry('a/2', never());
      const several = store.waitForCount('a/', 3, never());
      const all = store.waitForCount('', 4, never());
      for (const name of ['a/1', 'b', 'a/2']) await store.mutate(name, put(name));
      assert.equal((await entry).name, 'a/2');
      await store.mutate('a/3', put('x'));
      assert.equal((await several).count, 3);
      assert.equal((await all).count, 4);
    });

    rule(
      'count what exists: a deletion subtracts, and another write of an entry adds nothing',
      async (store) => {
        let isOver = false;
        const waiting = store.waitForCount('a/', 3, never()).then((end) => {
          isOver = true;
          return end;
        });
        for (const name of ['a/1', 'a/2']) await store.mutate(name, put('x'));
        await store.mutate('a/1', remove);
        await store.mutate('a/2', put('y'));
        await store.mutate('a/3', put('x'));
        await store.get('a/3');
        assert.ok(!isOver);
        await store.mutate('a/1', put('x'));
        assert.equal((await waiting).count, 3);
      },
    );

    rule('are answered for each of 200 that wait for the same', async (store) => {
      const waits = Array.from({ length: 100 }, () => [
        store.waitForEntry('master', never()),
        store.waitForCount('m', 1, never()),
      ]).flat();
      await store.mutate('master', put('x'));
      assert.equal((await Promise.all(waits)).length, 200);
    });

    rule('end with the reason of their signal', async (store) => {
      const ending = new AbortController();
      const reason = new Error('enough');
      const waits = [
        store.waitForEntry('none', ending.signal),
        store.waitForCount('none', 1, ending.signal),
        store.waitForEntry('none', AbortSignal.abort(reason)),
      ];
      const ends = Promise.allSettled(waits);
      ending.abort(reason);
      for (const end of await ends) assert.ok(end.status === 'rejected' && end.reason === reason);
    });

    rule('are refused when the store is closed', async (store) => {
      const waits = [store.waitForEntry('none', never()), store.waitForCount('none', 1, never())];
      const ends = Promise.allSettled(waits);
      await store.close();
      for (const end of await ends) {
        assert.ok(end.status === 'rejected' && (end.reason as BrokerError).code === 'unavailable');
      }
    });
  });

  group('watch()', () => {
    rule('reports every change once, in the order of revisions', async (store) => {
      const watch = store.watch();
      await Promise.all(Array.from({ length: 100 }, (_, i) => store.mutate(`n${i % 10}`, put(String(i)))));
      await store.mutate('n1', remove);
      const items = await take(watch, 101);
      for (let i = 1; i < items.length; i++) {
        assert.ok((items[i]?.revision ?? 0) > (items[i - 1]?.revision ?? 0));
      }
      const last = items.at(-1);
      assert.ok(last?.type === 'delete' && last.name === 'n1' && last.entry === undefined);
      const [first] = items;
      assert.ok(first?.type === 'put' && first.entry?.revision === first.revision);
      await watch.return?.();
    });

    rule('begins at the call, not at the first read', async (store) => {
      await store.mutate('foo', put('before'));
      const watch = store.watch({ name: 'foo' });
      await store.mutate('foo', put('after'));
      const [item] = await take(watch, 1);
      assert.ok(item?.type === 'put' && item.entry?.data['_str'] === 'after');
      await watch.return?.();
    });

    rule('covers one name, or the names of one prefix', async (store) => {
      const [byName, byPrefix] = [store.watch({ name: 'a' }), store.watch({ prefix: 'a/' })];
      for (const name of ['ab', 'a/1', 'b', 'a', 'a/2', 'a']) await store.mutate(name, put(name));
      const named = await take(byName, 2);
      assert.deepEqual(
        named.map((item) => item.type === 'put' && item.name),
        ['a', 'a'],
      );
      const prefixed = await take(byPrefix, 2);
      assert.deepEqual(
        prefixed.map((item) => item.type === 'put' && item.name),
        ['a/1', 'a/2'],
      );
      await byName.return?.();
      await byPrefix.return?.();
    });

    rule('resumes after a revision without losing or repeating a change', async (store) => {
      const revisions: number[] = [];
      for (let i = 0; i < 10; i++) revisions.push((await store.mutate(`n${i % 2}`, put(String(i)))).revision);
      const watch = store.watch({ after: revisions[3] ?? 0, prefix: 'n' });
      revisions.push((await store.mutate('n0', put('live'))).revision);
      assert.deepEqual(
        (await take(watch, 7)).map((item) => item.revision),
        revisions.slice(4),
      );
      await watch.return?.();
      const only = store.watch({ after: revisions[3] ?? 0, name: 'n1' });
      assert.deepEqual(
        (await take(only, 3)).map((item) => item.revision),
        [5, 7, 9].map((i) => revisions[i]),
      );
      await only.return?.();
    });

    durableRule('resumes across a reopening', async (store, { reopen }) => {
      await store.mutate('a', put('1'));
      const { revision } = await store.mutate('b', put('2'));
      await store.mutate('c', put('3'));
      await store.mutate('b', remove);
      const again = await reopen();
      const watch = again.watch({ after: revision });
      await again.mutate('d', put('4'));
      const items = await take(watch, 3);
      assert.deepEqual(
        items.map((item) => (item.type === 'reset' ? 'reset' : `${item.type} ${item.name}`)),
        ['put c', 'delete b', 'put d'],
      );
      await watch.return?.();
    });

    rule('says reset for a revision in the future, then reports what follows', async (store) => {
      await store.mutate('a', put('1'));
      const watch = store.watch({ after: store.revision + 1_000_000 });
      const { revision } = store;
      const [item] = await take(watch, 1);
      assert.deepEqual(item, { type: 'reset', revision });
      await store.mutate('b', put('2'));
      const [next] = await take(watch, 1);
      assert.ok(next?.type === 'put' && next.name === 'b');
      await watch.return?.();
    });

    rule('ends by its signal, by return() and by close()', async (store) => {
      const aborter = new AbortController();
      const [aborted, returned, closed] = [
        store.watch({ signal: aborter.signal }),
        store.watch(),
        store.watch(),
      ];
      const waiting = [aborted.next(), returned.next(), closed.next()];
      aborter.abort();
      await returned.return?.();
      await store.close();
      for (const next of waiting) assert.deepEqual(await next, { done: true, value: undefined });
      assert.equal((await store.watch({ signal: aborter.signal }).next()).done, true);
    });

    rule('is over at once in a store that has been closed', async (store) => {
      await store.close();
      const next = await resolveWithin(PATIENCE_MS, store.watch().next());
      assert.deepEqual(next, { done: true, value: undefined });
    });
  });

  durableRule('keeps entries and revisions across a reopening', async (store, { reopen }) => {
    for (let i = 0; i < 20; i++) await store.mutate(`n${i}`, put({ i }));
    await store.mutate('n3', remove);
    const before = await store.list();
    const again = await reopen();
    assert.deepEqual(await again.list(), before);
    assert.equal(again.revision, before.revision);
    assert.ok((await again.mutate('new', put('x'))).revision > before.revision);
  });

  rule('returns by peek(), where it has that, what get() returns', async (store) => {
    if (!store.peek) return;
    for (const mutation of [put('1'), put('2'), remove]) {
      const written = store.mutate('foo', mutation);
      const atOnce = store.peek('foo');
      assert.deepEqual(atOnce, await store.get('foo'));
      await written;
      assert.deepEqual(store.peek('foo'), await store.get('foo'));
    }
    assert.equal(store.peek('foo'), undefined);
  });

  rule('says that it accepts writes', async (store) => {
    assert.equal(store.health().writable, true);
  });
}

/** A new signal for each wait: some runtimes warn when one signal has many listeners. */
function never(): AbortSignal {
  return new AbortController().signal;
}
