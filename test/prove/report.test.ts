import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Recorded } from './history/record.ts';
import { reportOf } from './report.ts';
import type { Row } from './row.ts';

const row = (name: string): Row => ({
  name,
  shows: '1',
  what: `what ${name} does`,
  bound: { short: 1, long: 1 },
  skip: () => false,
  run: () => Promise.resolve({ figures: '', broken: [] }),
});
const ran = (figures: string): Recorded => ({
  figures,
  verdict: 'holds',
  seconds: 61,
  seed: 7,
  date: '2026-01-31',
  commit: 'abc1234',
  isBeside: false,
});

describe('the page of what was proved', () => {
  it('has each row as it ran last, in this clone or in another', () => {
    const rows = ['a', 'b', 'a-b'].map(row);
    const first = reportOf({ a: ran('old a'), b: ran('old b') }, rows, [], '');
    assert.match(first, /old a .*`npm run prove -- a --seed=7`.*abc1234/);
    assert.match(first, /Not run: `a-b`\./);
    const second = reportOf({ b: ran('new b'), 'a-b': ran('1 of 1') }, rows, [], first);
    assert.deepEqual(second.match(/old \w|new \w|1 of 1/g), ['old a', 'new b', '1 of 1']);
    assert.doesNotMatch(second, /Not run/);
  });
});
