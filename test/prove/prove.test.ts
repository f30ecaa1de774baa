/** The short form of each row of the proof that has no test of its own in the suite; `npm run prove` runs the long ones. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { runRow } from './run-row.ts';
import { rows } from './rows.ts';
import { suiteRows } from './rows/suites.ts';

const SEED = 20_443;

describe('row of the proof', () => {
  for (const row of rows.filter((each) => !suiteRows.includes(each))) {
    const skip = row.skip();
    it(`${row.name}: ${row.what}`, { skip, timeout: (row.bound.short + 30) * 1000 }, async (t) => {
      const { result } = await runRow(row, true, SEED, (line) => t.diagnostic(line.trim()));
      assert.ok('broken' in result);
      t.diagnostic(result.figures);
      assert.deepEqual(result.broken, []);
    });
  }
});
