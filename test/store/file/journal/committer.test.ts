import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Committer, createCommitter } from '../../../../src/store/file/journal/committer.ts';
import { missingJournal } from '../../../../src/store/file/journal/missing-journal.ts';

/** A committer whose journal has no room. */
function withoutRoom(): Committer {
  return createCommitter({
    journal: () => missingJournal('bpbroker.json'),
    revision: () => 0,
    apply: () => undefined,
    onCommit: () => undefined,
    onDurable: () => undefined,
    makeRoom: () => Promise.resolve(false),
    log: () => undefined,
    batchBytes: 1024,
    probeMs: 60_000,
    pendingBytes: 1024,
    lateMs: 60_000,
  });
}

describe('what waits until nothing is queued', () => {
  it('goes on when the queue is refused between two batches', async () => {
    const committer = withoutRoom();
    let drained: Promise<void> = Promise.resolve();
    let refused: Promise<unknown> = Promise.resolve();
    await committer.between(() => {
      refused = assert.rejects(committer.add('delete', 'n'), { code: 'unavailable' });
      drained = committer.drained();
      committer.stop('the disk failed');
      return Promise.resolve();
    });
    await refused;
    let isDrained = false;
    void drained.then(() => (isDrained = true));
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
    assert.equal(isDrained, true);
  });
});
