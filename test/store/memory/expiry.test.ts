import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Entry } from '../../../src/protocol/registry/entry.ts';
import { createExpiry } from '../../../src/store/memory/expiry.ts';
import { waitFor } from '../../support/wait.ts';

function entry(revision: number, ttlMs: number): Entry {
  return { name: 'foo', data: {}, lastWriteTs: 0, lastWriteIp: '', revision, ttlMs };
}

describe('a lifetime', () => {
  it('ends for the state of the entry that it was set for, and for no other', async () => {
    const expired: string[] = [];
    const expiry = createExpiry((name) => Promise.resolve(expired.push(name)));
    expiry.track(entry(1, 20));
    assert.equal(expiry.isOver(entry(1, 20)), false);
    await waitFor('the end of the lifetime', () => expired.length === 1);
    assert.equal(expiry.isOver(entry(1, 20)), true);
    assert.equal(expiry.isOver(entry(2, 20)), false);
    // Renewed after its end but before it was taken away: it goes on.
    expiry.renew('foo');
    assert.equal(expiry.isOver(entry(1, 20)), false);
    expiry.close();
    assert.equal(expiry.isOver(entry(1, 20)), false);
  });

  it('longer than a timer can wait does not end at once', async () => {
    const expired: string[] = [];
    const expiry = createExpiry((name) => Promise.resolve(expired.push(name)));
    expiry.track(entry(1, 2 ** 33));
    await new Promise((resolve) => {
      setTimeout(resolve, 30);
    });
    assert.deepEqual(expired, []);
    expiry.close();
  });

  it('row "lifetimes": is extended when the process was stopped, so that renewals that wait are read first', async () => {
    const expired: string[] = [];
    const expiry = createExpiry((name) => Promise.resolve(expired.push(name)));
    expiry.track(entry(1, 400));
    // What a client sends meanwhile is read once the process goes on, after the timers that are due.
    const renewed = new Promise<void>((resolve) => {
      setTimeout(() => setTimeout(resolve, 50), 1);
    }).then(() => expiry.renew('foo'));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1500);
    await renewed;
    assert.deepEqual(expired, [], 'it was still there to be renewed');
    // Nobody renews it any more.
    await waitFor('the end of the lifetime', () => expired.length === 1, 10_000);
    expiry.close();
  });

  it('ends all the same in a process that is stopped again and again', async () => {
    const expired: string[] = [];
    const expiry = createExpiry((name) => Promise.resolve(expired.push(name)));
    expiry.track(entry(1, 100));
    const stalls = setInterval(
      () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600),
      100,
    );
    await waitFor('the end of the lifetime', () => expired.length > 0, 30_000);
    clearInterval(stalls);
    expiry.close();
  });
});
