import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import type { Committer } from '../../../../src/store/file/journal/committer.ts';
import { createHistory } from '../../../../src/store/memory/history.ts';
import { missingJournal } from '../../../../src/store/file/journal/missing-journal.ts';
import { createCompactor } from '../../../../src/store/file/document/compactor.ts';
import { createEntryIndex } from '../../../../src/store/memory/entry-index.ts';
import { tempDir } from '../../../support/temp.ts';

describe('journals that watches alone need', () => {
  it('are given up twice at the same time without forgetting one that the file needs', async () => {
    const file = path.join(tempDir(), 'bpbroker.json');
    const compactor = createCompactor({
      file,
      identity: { id: 'x', since: 0 },
      index: createEntryIndex(),
      history: createHistory({ changes: 10, bytes: 10 }),
      committer: {} as Committer,
      options: () => ({}),
      journal: () => missingJournal(file),
      setJournal: () => undefined,
      journalBytes: 1500,
      isHurried: () => true,
      onStep: () => undefined,
    });
    const retired = [0, 1, 2].map((base) => ({ path: `${file}.${base}`, base, end: base + 1, bytes: 1000 }));
    compactor.takeOver({ retired, written: { revision: 1, options: '', bytes: 0 } });
    assert.equal(compactor.isDue(), true);
    const given = await Promise.all([
      compactor.giveUpHistory(),
      compactor.giveUpHistory(),
      compactor.retire(),
    ]);
    assert.deepEqual(given.slice(0, 2), [true, true]);
    assert.equal(compactor.isDue(), true, 'two journals that the file does not hold are still counted');
    assert.equal(await compactor.giveUpHistory(), false);
  });
});
