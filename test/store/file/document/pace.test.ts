import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { paced } from '../../../../src/store/file/document/paced.ts';

function* pieces(count: number, workMs: number): Generator<number> {
  for (let i = 0; i < count; i++) {
    for (const end = performance.now() + workMs; performance.now() < end;);
    yield i;
  }
}

/** Milliseconds of work, and of rest given to others, as the work itself saw them. */
async function shares(isHurried: boolean): Promise<{ work: number; rest: number; seen: number[] }> {
  const seen: number[] = [];
  let work = 0;
  const timed = function* (): Generator<number> {
    for (const piece of pieces(20, 4)) yield piece;
  };
  const began = performance.now();
  const source = timed();
  const measured: Iterable<number> = {
    *[Symbol.iterator]() {
      for (;;) {
        const from = performance.now();
        const { value, done } = source.next();
        work += performance.now() - from;
        if (done) return;
        yield value;
      }
    },
  };
  for await (const piece of paced(measured, () => isHurried)) seen.push(piece);
  return { work, rest: performance.now() - began - work, seen };
}

describe('paced()', () => {
  it('returns every piece in order, and rests as long as it works', async () => {
    const { work, rest, seen } = await shares(false);
    assert.deepEqual(seen, [...Array(20).keys()]);
    // A timer may end up to a millisecond early.
    assert.ok(rest > 0.7 * work, `${rest} ms of rest for ${work} ms of work`);
  });

  it('lets others take a turn after each piece, and no more, when it is hurried', async () => {
    let turns = 0;
    let going = true;
    const count = (): void => {
      turns++;
      if (going) setImmediate(count);
    };
    setImmediate(count);
    const { work, rest } = await shares(true);
    going = false;
    assert.ok(turns >= 19);
    assert.ok(rest < 0.5 * work, `${rest} ms of rest for ${work} ms of work`);
  });
});
