import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { Change } from '../../../../src/protocol/registry/entry.ts';
import { createEntryIndex } from '../../../../src/store/memory/entry-index.ts';
import { readDocument, readStored } from '../../../../src/store/file/document/document.ts';
import { tempDir } from '../../../support/temp.ts';
import { waitFor } from '../../../support/wait.ts';
import { journalsIn, openIn, put, remove, take } from '../../support.ts';

/** What a crash at this moment would leave, in a folder of its own. */
function imageOf(dir: string): string {
  const copy = path.join(tempDir(), 'image');
  mkdirSync(copy);
  for (const name of readdirSync(dir)) copyFileSync(path.join(dir, name), path.join(copy, name));
  return copy;
}

function change(name: string, revision: number, text?: string): Change {
  if (text === undefined) return { type: 'delete', name, revision };
  const entry = { name, data: { _str: text }, lastWriteTs: 0, lastWriteIp: '', revision };
  return { type: 'put', name, revision, entry };
}

describe('a snapshot of the table', () => {
  it('returns exactly the state of its moment, whatever changes meanwhile', () => {
    // A small deterministic generator: the same run every time.
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      return seed % below;
    };
    for (let round = 0; round < 200; round++) {
      const index = createEntryIndex();
      let revision = 0;
      const step = (): void => {
        revision++;
        const name = `n${random(30)}`;
        index.apply(random(3) === 0 ? change(name, revision) : change(name, revision, String(revision)));
      };
      for (let i = 0; i < 40; i++) step();
      for (let again = 0; again < 2; again++) {
        const expected = new Map([...index.entries()].map((entry) => [entry.name, entry]));
        const snapshot = index.snapshot();
        assert.equal(snapshot.revision, revision);
        const given: string[] = [];
        for (let slice = snapshot.next(3); slice.length > 0; slice = snapshot.next(3)) {
          for (const entry of slice) {
            given.push(entry.name);
            assert.equal(entry, expected.get(entry.name));
          }
          for (let i = random(6); i > 0; i--) step();
        }
        snapshot.end();
        assert.deepEqual(given.toSorted(), [...expected.keys()].toSorted());
      }
    }
  });
});

describe('rewrite()', () => {
  it('writes one moment of the registry while writes go on, and loses none', async () => {
    const dir = tempDir();
    const store = await openIn(dir, { journalBytes: 0 });
    const names = Array.from({ length: 3000 }, (_, i) => `n${i}`);
    await Promise.all(names.map((name) => store.mutate(name, put({ pad: 'x'.repeat(200) }))));
    const load = { going: true };
    let written = 0;
    const writer = async (w: number): Promise<void> => {
      for (let i = 0; load.going; i++) {
        const name = `n${(i * 17 + w * 911) % 4000}`;
        await store.mutate(name, i % 5 === 0 ? remove : put({ w, i }));
        written++;
      }
    };
    const writers = Array.from({ length: 8 }, (_, w) => writer(w));
    for (let i = 0; i < 5; i++) {
      const target = path.join(dir, `copy-${i}.json`);
      await store.rewrite();
      await store.backUp(() => target);
      // The checksum over all entries says that the copy is whole.
      const copy = readDocument(await readStored(target), target);
      assert.equal(copy.origin, 'written');
    }
    const image = imageOf(dir);
    load.going = false;
    await Promise.all(writers);
    assert.ok(written > 50);
    const crashed = await openIn(image);
    await crashed.close();
    const before = await store.list({ limit: 10_000 });
    await store.close();
    const again = await openIn(dir);
    assert.deepEqual(await again.list({ limit: 10_000 }), before);
    await again.close();
  });

  it('runs by itself when the journal has grown, and keeps journals for the history alone', async () => {
    const dir = tempDir();
    const store = await openIn(dir, { journalBytes: 4096, historyChanges: 20 });
    for (let i = 0; i < 200; i++) await store.mutate('n', put({ pad: 'x'.repeat(300), i }));
    await waitFor('old journals to be removed', () => journalsIn(dir).length <= 3);
    assert.ok(!journalsIn(dir)[0]?.endsWith('.journal.0000000000000000'));
    const crashed = await openIn(imageOf(dir));
    assert.equal((await crashed.get('n'))?.data['i'], 199);
    await crashed.close();
    await store.close();
  });

  it('runs at intervals if something changed', async () => {
    const dir = tempDir();
    const steps: string[] = [];
    const store = await openIn(dir, { rewriteIntervalMs: 20, onStep: (step) => steps.push(step) });
    await waitFor('some intervals', () => new Promise((resolve) => setTimeout(() => resolve(true), 100)));
    const before = steps.filter((step) => step === 'file-done').length;
    await store.mutate('a', put('1'));
    await waitFor('the rewrite', () => steps.filter((step) => step === 'file-done').length > before);
    await store.close();
    assert.equal(before, 1);
  });

  it('that failed is reported until one has succeeded, and loses nothing', async () => {
    const dir = tempDir();
    let isMalformed = true;
    const edits = {
      keep: () => (isMalformed ? Promise.reject(new Error('line 3 is malformed')) : Promise.resolve()),
      check: () => undefined,
      wrote: () => undefined,
    };
    const store = await openIn(dir, { rewriteIntervalMs: 20, edits });
    assert.equal(store.rewriteProblem(), undefined);
    await store.mutate('a', put({ x: 1 }));
    const problem = await waitFor('the problem', () => store.rewriteProblem());
    assert.match(problem, /line 3 is malformed.*goes on in its journal/);
    isMalformed = false;
    await waitFor('its end', () => store.rewriteProblem() === undefined);
    assert.deepEqual((await store.get('a'))?.data, { x: 1 });
    await store.close();
  });

  it('is refused once the store is closed', async () => {
    const store = await openIn(tempDir());
    await store.close();
    await assert.rejects(store.rewrite(), { code: 'unavailable' });
    await assert.rejects(
      store.backUp(() => 'never'),
      { code: 'unavailable' },
    );
  });
});

describe('the history', () => {
  it('reaches across rewrites, restarts and crashes, each change once', async () => {
    let dir = tempDir();
    let store = await openIn(dir, { journalBytes: 0 });
    let expected = 0;
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 5; i++) await store.mutate(`n${i}`, put(String(++expected)));
      if (round % 3 === 0) await store.rewrite();
      if (round % 3 === 1) dir = imageOf(dir);
      await store.close();
      store = await openIn(dir, { journalBytes: 0 });
      const watch = store.watch({ after: 0 });
      const items = await take(watch, expected);
      assert.deepEqual(
        items.map((item) => item.revision),
        items.map((_, i) => i + 1),
      );
      await watch.return?.();
    }
    await store.close();
  });

  it('is bounded: a watch from before it must read anew', async () => {
    const store = await openIn(tempDir(), { historyChanges: 10 });
    for (let i = 0; i < 30; i++) await store.mutate('n', put(String(i)));
    assert.deepEqual(await take(store.watch({ after: 19 }), 1), [{ type: 'reset', revision: 30 }]);
    const held = await take(store.watch({ after: 20 }), 10);
    assert.deepEqual(
      held.map((item) => item.revision),
      Array.from({ length: 10 }, (_, i) => i + 21),
    );
    await store.close();
  });

  it('is bounded in bytes too', async () => {
    const store = await openIn(tempDir(), { historyBytes: 10_000 });
    for (let i = 0; i < 30; i++) await store.mutate('n', put('x'.repeat(1000)));
    assert.equal((await take(store.watch({ after: 15 }), 1))[0]?.type, 'reset');
    assert.equal((await take(store.watch({ after: 25 }), 1))[0]?.type, 'put');
    await store.close();
  });

  it('keeps few journals, however often the broker starts', async () => {
    const dir = tempDir();
    for (let i = 0; i < 40; i++) {
      const store = await openIn(dir);
      await store.mutate('n', put(String(i)));
      await store.close();
    }
    assert.ok(journalsIn(dir).length <= 33, `${journalsIn(dir).length} journals`);
    const store = await openIn(dir);
    assert.equal((await take(store.watch({ after: 20 }), 20)).at(-1)?.revision, 40);
    await store.close();
  });
});

describe('a watch that is not read', () => {
  it('is dropped once more than its limit waits, and says so', async () => {
    const store = await openIn(tempDir(), { watchBytes: 10_000 });
    const [slow, quick] = [store.watch(), store.watch()];
    const read = take(quick, 20);
    for (let i = 0; i < 20; i++) await store.mutate('n', put('x'.repeat(1000)));
    assert.equal((await read).length, 20);
    await assert.rejects(slow.next(), { code: 'unavailable', message: /fell behind/ });
    assert.deepEqual(await slow.next(), { done: true, value: undefined });
    await store.close();
  });

  it('takes one change that is larger than its limit', async () => {
    const store = await openIn(tempDir(), { watchBytes: 100 });
    const watch = store.watch();
    await store.mutate('n', put('x'.repeat(1000)));
    assert.equal((await take(watch, 1))[0]?.type, 'put');
    await store.close();
  });
});
