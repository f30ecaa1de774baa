import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createPrefixCounts, type PrefixCounts } from '../../../src/store/memory/prefix-counts.ts';
import { createEntryIndex, type EntryIndex } from '../../../src/store/memory/entry-index.ts';
import { chooseSeed, createRandom } from '../../support/random.ts';

const PIECE = 100;

interface Counted {
  readonly index: EntryIndex;
  readonly counts: PrefixCounts;
  /** Names walked so far, and the most of them in one go. */
  readonly walked: { all: number; most: number };
  put(name: string): void;
  remove(name: string): void;
}

function counted(names: readonly string[]): Counted {
  const index = createEntryIndex();
  const walked = { all: 0, most: 0 };
  const watched: Pick<EntryIndex, 'count'> = {
    count(prefix, after, limit) {
      const found = index.count(prefix, after, limit);
      walked.all += found.count;
      walked.most = Math.max(walked.most, found.count);
      return found;
    },
  };
  const counts = createPrefixCounts(watched, PIECE);
  const change = (name: string, isThere: boolean): void => {
    const before = index.size;
    const revision = index.revision + 1;
    const entry = { name, data: {}, lastWriteTs: 0, lastWriteIp: '', revision };
    index.apply(isThere ? { type: 'put', name, revision, entry } : { type: 'delete', name, revision });
    if (index.size !== before) counts.changed(name, index.size - before);
  };
  for (const name of names) change(name, true);
  return { index, counts, walked, put: (name) => change(name, true), remove: (name) => change(name, false) };
}

const nameOf = (i: number): string => `app/${String(i).padStart(6, '0')}`;

describe('the count of a prefix', () => {
  it('walks what it counts once, in pieces, and never again for a change', async () => {
    const names = Array.from({ length: 1000 }, (_, i) => nameOf(i));
    const { counts, walked, put, remove } = counted([...names, 'other']);
    const count = counts.hold('app/');
    await count.ready;
    assert.equal(count.value, 1000);
    assert.deepEqual(walked, { all: 1000, most: PIECE });
    for (let i = 0; i < 500; i++) put(nameOf(2000 + i));
    for (let i = 0; i < 100; i++) remove(nameOf(i));
    // Written anew, elsewhere, or not there: none of these counts.
    put(nameOf(500));
    put('elsewhere');
    remove('nowhere');
    assert.equal(count.value, 1400);
    assert.equal(walked.all, 1000);
    count.letGo();
  });

  it('is shared by all that count the same, and kept for those that come soon after', async () => {
    const { counts, walked, put, remove } = counted(Array.from({ length: 300 }, (_, i) => nameOf(i)));
    const several = Array.from({ length: 50 }, () => counts.hold('app/'));
    await Promise.all(several.map(({ ready }) => ready));
    assert.equal(walked.all, 300);
    for (const count of several) count.letGo();
    put(nameOf(400));
    remove(nameOf(0));
    put(nameOf(401));
    const next = counts.hold('app/');
    await next.ready;
    assert.equal(next.value, 301);
    assert.equal(walked.all, 300);
    next.letGo();
  });

  it('is forgotten once 64 others were asked for since', async () => {
    const { counts, walked } = counted(Array.from({ length: 300 }, (_, i) => nameOf(i)));
    const ask = async (prefix: string): Promise<void> => {
      const count = counts.hold(prefix);
      await count.ready;
      count.letGo();
    };
    await ask('app/');
    for (let i = 0; i < 63; i++) await ask(`other/${i}`);
    await ask('app/');
    assert.equal(walked.all, 300);
    for (let i = 0; i < 64; i++) await ask(`other/${i}`);
    await ask('app/');
    assert.equal(walked.all, 600);
  });

  it('is not kept for a prefix that is longer than any name', async () => {
    const { counts, walked } = counted([nameOf(1)]);
    const ask = async (prefix: string): Promise<void> => {
      const count = counts.hold(prefix);
      await count.ready;
      count.letGo();
    };
    await ask('app/');
    for (let i = 0; i < 100; i++) await ask(`${i}${'x'.repeat(600)}`);
    await ask('app/');
    assert.equal(walked.all, 1);
  });

  it('tells each listener of changes under its own prefix, and of no others', async () => {
    const { counts, put, remove } = counted(Array.from({ length: 300 }, (_, i) => nameOf(i)));
    const told: number[] = [];
    const count = counts.hold('app/', () => told.push(count.value));
    await count.ready;
    put(nameOf(300));
    put('app');
    put('apple');
    remove(nameOf(1));
    count.letGo();
    put(nameOf(301));
    assert.deepEqual(told, [300, 301, 300]);
  });

  it('is right whatever changes while it counts', async (t) => {
    const seed = chooseSeed();
    t.diagnostic(`BPBROKER_SEED=${seed}`);
    const random = createRandom(seed);
    const { index, counts, put, remove } = counted(Array.from({ length: 2000 }, (_, i) => nameOf(2 * i)));
    const count = counts.hold('app/');
    let isReady = false;
    void count.ready.then(() => (isReady = true));
    for (let turn = 0; turn < 60; turn++) {
      for (let i = 0; i < 40; i++) {
        const name = nameOf(random.below(4200));
        if (random.below(2) === 0) put(name);
        else remove(name);
      }
      await new Promise(setImmediate);
    }
    await count.ready;
    assert.ok(isReady);
    assert.equal(count.value, index.count('app/', undefined, Infinity).count);
    count.letGo();
  });
});
