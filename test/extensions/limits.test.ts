import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { limitProblems, readLimits } from '../../src/extensions/limits.ts';

describe('readLimits()', () => {
  it('has a default for each limit', () => {
    assert.deepEqual(readLimits('x', {}), {
      timeoutMs: 60_000,
      concurrency: 4,
      queue: 100,
      memoryBytes: 512 * 1024 * 1024,
      outputBytes: 64 * 1024 * 1024,
    });
  });

  it('takes those of the configuration, and leaves other options alone', () => {
    const limits = readLimits('x', {
      _timeout_secs: 0.5,
      _concurrency: 1,
      _queue: 0,
      _memory_mb: 1,
      own: 'x',
    });
    assert.deepEqual(
      [limits.timeoutMs, limits.concurrency, limits.queue, limits.memoryBytes],
      [500, 1, 0, 1024 * 1024],
    );
  });

  for (const [option, value] of [
    ['_timeout_secs', 0],
    ['_timeout_secs', '60'],
    // Past what a timer takes, which would run out at once.
    ['_timeout_secs', 2_147_484],
    ['_concurrency', 0],
    ['_queue', -1],
    ['_memory_mb', -5],
    ['_output_mb', null],
  ] as const) {
    it(`refuses ${option} ${JSON.stringify(value)} by name`, () => {
      assert.throws(() => readLimits('x', { [option]: value }), {
        code: 'invalid_config',
        message: new RegExp(`^x\\.${option}: `),
      });
    });
  }
});

describe('limitProblems()', () => {
  it('has one line for each wrong limit, with the present value and the right ones', () => {
    assert.deepEqual(limitProblems('x', { _timeout_secs: 0, _concurrency: -1.5, _queue: '9', own: -1 }), [
      'x._timeout_secs: expected a number above 0, got 0',
      'x._concurrency: expected a whole number, got -1.5',
      'x._queue: expected a number, got "9"',
    ]);
    assert.deepEqual(limitProblems('x', { _timeout_secs: 1, _own: -1 }), []);
  });
});
