import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createSyncPace, type SyncPace } from '../../src/store/file/sync-pace.ts';

function after(...syncs: readonly number[]): SyncPace {
  const pace = createSyncPace();
  for (const ms of syncs) pace.took(ms);
  return pace;
}

const times = (count: number, ms: number): number[] => Array.from({ length: count }, () => ms);

describe('the pace of syncs', () => {
  it('lets no sync hold up the process before many have been quick', () => {
    assert.equal(after().mayHoldUp(), false);
    assert.equal(after(...times(50, 0.2)).mayHoldUp(), false);
    assert.equal(after(...times(100, 0.2)).mayHoldUp(), true);
  });

  it('lets none hold it up on a disk that is slow on average', () => {
    assert.equal(after(...times(1000, 1.1)).mayHoldUp(), false);
    assert.equal(after(...times(100, 0.2), ...times(40, 1.5)).mayHoldUp(), false);
    // The slowest of a disk that is quick.
    assert.equal(after(...times(100, 0.2), 4).mayHoldUp(), true);
  });

  it('takes a disk that has hung for one that nothing is known of', () => {
    assert.equal(after(...times(100, 0.2), 25_000, ...times(100, 0.2)).mayHoldUp(), false);
    assert.equal(after(...times(100, 0.2), 25_000, ...times(150, 0.2)).mayHoldUp(), true);
  });
});
