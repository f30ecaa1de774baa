import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startLease } from '../../src/client/registry/lease.ts';
import type { Reconnect } from '../../src/client/connection/reconnect.ts';
import type { Rpc } from '../../src/client/connection/rpc.ts';
import { waitFor } from '../support/wait.ts';

describe('startLease()', () => {
  it('is lost soon after the machine has slept beyond it, whatever is left until the next renewal', async () => {
    let slept = 0;
    const lease = startLease({
      rpc: {
        call: () => Promise.reject(new Error('not asked')),
        connection: { place: 'nowhere' },
        closed: new AbortController().signal,
      } as unknown as Rpc,
      reconnect: (() => Promise.resolve(undefined)) as unknown as Reconnect,
      clock: { now: () => performance.now() + slept },
      name: 'lock',
      revision: 1,
      ttlMs: 3_600_000,
    });
    lease.hold(performance.now());
    assert.equal(lease.isHeld(), true);
    slept = 4_000_000;
    await waitFor('the loss', () => lease.signal.aborted);
    assert.equal((lease.signal.reason as { code: string }).code, 'lock_lost');
  });
});
