import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createSyncPace, type SyncPace } from '../../src/store/file/sync-pace.ts';

function after(...syncs: readonly number[]): SyncPace {
  const pace = createSyncPace();
  for (const ms of syncs) pace.took(ms);
  return pace;
}

const quick = Array.from({ length: 64 }, () => 0.2);

describe('the pace of syncs', () => {
  it('lets no sync hold up the process before many in a row have been quick', () => {
    assert.equal(after().mayHoldUp(), false);
    assert.equal(after(...quick.slice(1)).mayHoldUp(), false);
    assert.equal(after(...quick).mayHoldUp(), true);
  });

  it('lets a slow one end that, until as many have been quick again', () => {
    assert.equal(after(...quick, 1.1).mayHoldUp(), false);
    assert.equal(after(...quick, 25_000, ...quick.slice(1)).mayHoldUp(), false);
    assert.equal(after(...quick, 25_000, ...quick).mayHoldUp(), true);
    assert.equal(after(...quick.slice(1), 2, 0.2).mayHoldUp(), false);
  });
});
