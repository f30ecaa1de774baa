import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import { createSemaphore } from '../../src/extensions/semaphore.ts';

const LONG_MS = 60_000;
const callers = new AbortController();
const never = callers.signal;
// Those that no turn ever comes to let go.
after(() => callers.abort());

describe('createSlots()', () => {
  it('lets so many run at a time, and the next in the order in which they came', async () => {
    const semaphore = createSemaphore('It', 2, 10);
    const first = await semaphore.take(LONG_MS, never);
    await semaphore.take(LONG_MS, never);
    const order: string[] = [];
    const third = semaphore.take(LONG_MS, never).then(() => order.push('third'));
    void semaphore.take(LONG_MS, never).then(
      () => order.push('fourth'),
      () => undefined,
    );
    await Promise.resolve();
    assert.deepEqual(order, []);
    first();
    await third;
    assert.deepEqual(order, ['third']);
    first();
    assert.deepEqual(order, ['third'], 'a turn that has ended ended twice');
  });

  it('refuses one more than may wait', async () => {
    const semaphore = createSemaphore("Extension 'x'", 1, 1);
    await semaphore.take(LONG_MS, never);
    semaphore.take(LONG_MS, never).catch(() => undefined);
    await assert.rejects(semaphore.take(LONG_MS, never), {
      code: 'too_many_requests',
      message: "Extension 'x' is busy: 1 calls run and 1 wait; try again later",
    });
  });

  it('refuses one whose turn does not come in time, and goes on with the others', async () => {
    const semaphore = createSemaphore('It', 1, 10);
    const release = await semaphore.take(LONG_MS, never);
    await assert.rejects(semaphore.take(20, never), { code: 'too_many_requests' });
    const next = semaphore.take(LONG_MS, never);
    release();
    (await next)();
    await semaphore.take(LONG_MS, never);
  });

  it('lets go of one whose caller has gone', async () => {
    const semaphore = createSemaphore('It', 1, 1);
    const release = await semaphore.take(LONG_MS, never);
    const caller = new AbortController();
    const waiting = semaphore.take(LONG_MS, caller.signal);
    caller.abort(new Error('gone'));
    await assert.rejects(waiting, /gone/);
    const next = semaphore.take(LONG_MS, never);
    release();
    await next;
  });
});
