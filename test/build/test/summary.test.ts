import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Case } from '../../../build/test/junit.ts';
import { exitCode, summarize, tally } from '../../../build/test/summary.ts';

const passed: Case = { file: '/x/test/a.test.ts', name: 'works', outcome: 'passed' };
const failed: Case = { file: '/x/test/a.test.ts', name: 'breaks', outcome: 'failed' };
const skipped: Case = {
  file: '/x/test/a.test.ts',
  name: 'needs root',
  outcome: 'skipped',
  reason: 'not root',
};
const silent: Case = { file: 'test/a.test.ts', name: 'needs root', outcome: 'skipped' };

describe('tally()', () => {
  it('counts a runner that failed without a failed test as one failure', () => {
    assert.equal(tally('bun', [passed], 1).failed, 1);
    assert.equal(tally('bun', [passed, failed, failed], 1).failed, 2);
    assert.equal(tally('bun', [passed], 0).failed, 0);
  });
});

describe('summarize()', () => {
  it('ends with the counts of all passes', () => {
    const text = summarize([tally('node24', [passed, passed, failed], 1), tally('bun', [silent], 0)], false);
    assert.match(text, /\n2 passed, 1 failed, 1 skipped$/);
  });

  it('names failures and skips, with the reason that another pass reported', () => {
    const text = summarize([tally('node24', [skipped, failed], 1), tally('bun', [silent], 0)], false);
    assert.match(text, /Failed:\n {2}node24: test\/a\.test\.ts: breaks\n/);
    assert.match(text, /node24: test\/a\.test\.ts: needs root: not root\n/);
    assert.match(text, /bun: test\/a\.test\.ts: needs root: not root\n/);
  });
});

describe('summarize() of a failure', () => {
  it('says the beginning of its message', () => {
    const lines = Array.from({ length: 20 }, (_, i) => `line ${i} ${'x'.repeat(400)}`);
    const text = summarize([tally('node24', [{ ...failed, reason: lines.join('\n\n') }], 1)], false);
    assert.match(text, /Failed:\n {2}node24: test\/a\.test\.ts: breaks\n {6}line 0 x+\n {6}line 1 x+\n/);
    assert.doesNotMatch(text, /line 8|x{300}/);
  });
});

describe('exitCode()', () => {
  it('is 0 with skips, unless they are forbidden', () => {
    const results = [tally('node24', [passed, skipped], 0)];
    assert.deepEqual([exitCode(results, false), exitCode(results, true)], [0, 1]);
    assert.match(summarize(results, true), /the skipped tests fail this run/);
  });

  it('is 1 as soon as one pass failed', () => {
    assert.equal(exitCode([tally('node24', [passed], 0), tally('deno', [], 1)], false), 1);
  });
});
