import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createLocks } from '../../src/extensions/locks.ts';

const [a, b, c] = [{}, {}, {}];

describe('createLocks()', () => {
  it('lets one holder at a time have a lock, in the order in which they came', async () => {
    const locks = createLocks();
    const order: string[] = [];
    await locks.acquire('x', a);
    const second = locks.acquire('x', b).then(() => order.push('b'));
    const third = locks.acquire('x', c).then(() => order.push('c'));
    await locks.acquire('another', b);
    assert.deepEqual(order, []);
    locks.release('x', b);
    await Promise.resolve();
    assert.deepEqual(order, [], 'released by one who does not hold it');
    locks.release('x', a);
    await second;
    assert.deepEqual(order, ['b']);
    locks.release('x', b);
    await third;
    assert.deepEqual(order, ['b', 'c']);
  });

  it('lets a holder take its lock once more, and needs as many releases', async () => {
    const locks = createLocks();
    await locks.acquire('x', a);
    await locks.acquire('x', a);
    let passed = false;
    const next = locks.acquire('x', b).then(() => (passed = true));
    locks.release('x', a);
    await Promise.resolve();
    assert.equal(passed, false);
    locks.release('x', a);
    await next;
  });

  it('ends a wait with its signal, and passes the lock on to the next one', async () => {
    const locks = createLocks();
    await locks.acquire('x', a);
    const ending = new AbortController();
    const given = locks.acquire('x', b, ending.signal);
    const next = locks.acquire('x', c);
    const reason = new Error('enough');
    ending.abort(reason);
    await assert.rejects(given, reason);
    await assert.rejects(locks.acquire('y', b, ending.signal), reason);
    locks.release('x', a);
    await next;
    await locks.acquire('y', a);
  });

  it('passes on what a call that has ended held, and forgets what it waited for', async () => {
    const locks = createLocks();
    await locks.acquire('x', a);
    void locks.acquire('x', b);
    const next = locks.acquire('x', c);
    locks.releaseAll(b);
    locks.releaseAll(a);
    await next;
  });
});
