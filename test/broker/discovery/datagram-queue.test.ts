import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createDatagramQueue, DATAGRAM_BYTES } from '../../../src/broker/discovery/datagram-queue.ts';

describe('createDatagramQueue()', () => {
  const datagram = new Uint8Array(100);

  it('deals with a few datagrams in a turn, and with all of them in the order in which they came', async () => {
    const seen: number[] = [];
    const queue = createDatagramQueue<number>((_, i) => seen.push(i), { perTurn: 4, maxBytes: 100_000 });
    for (let i = 0; i < 10; i++) assert.equal(queue.add(datagram, i), true);
    assert.equal(seen.length, 4);
    let most = 0;
    for (let before = seen.length, next = 10; next < 30 || seen.length < 30; before = seen.length) {
      await nextTurn();
      // Others come meanwhile.
      if (next < 30) queue.add(datagram, next++);
      most = Math.max(most, seen.length - before);
    }
    assert.deepEqual(seen, [...Array(30).keys()]);
    // One turn, and the beginning of the next one.
    assert.ok(most <= 8, `${most} between two turns`);
    await nextTurn();
    await nextTurn();
    queue.add(datagram, 30);
    assert.equal(seen.length, 31, 'who comes when nobody waits does not wait');
  });

  it('drops what comes while too many bytes wait, and takes more once they have gone', async () => {
    const seen: Uint8Array[] = [];
    const queue = createDatagramQueue<undefined>((one) => seen.push(one), {
      perTurn: 1,
      maxBytes: 2.5 * (100 + DATAGRAM_BYTES),
    });
    const taken = Array.from({ length: 6 }, () => queue.add(datagram, undefined));
    assert.deepEqual(taken, [true, true, true, false, false, false]);
    while (seen.length < 3) await nextTurn();
    assert.equal(queue.add(datagram, undefined), true);
  });

  it('counts what it takes to keep a datagram, so that short and empty ones are bounded too', async () => {
    const queue = createDatagramQueue<undefined>(() => undefined, { perTurn: 1, maxBytes: 10_000 });
    const taken = Array.from({ length: 1000 }, () => queue.add(new Uint8Array(), undefined));
    assert.ok(taken.includes(false), 'without end');
    while (!queue.add(new Uint8Array(), undefined)) await nextTurn();
  });

  it('drops all that waits when it is closed', async () => {
    let seen = 0;
    const queue = createDatagramQueue<undefined>(() => seen++, { perTurn: 1, maxBytes: 10_000 });
    for (let i = 0; i < 5; i++) queue.add(datagram, undefined);
    queue.close();
    for (let i = 0; i < 5; i++) await nextTurn();
    assert.equal(seen, 1);
  });
});
