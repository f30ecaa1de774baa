import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readAll } from '../../src/runtime/stdio/read-all.ts';

describe('readAll()', () => {
  const failure = (code: string): Error => Object.assign(new Error(code), { code });

  /** What is read where each read ends so. */
  const readOf = (...ends: (string | Error)[]): string => {
    const left = [...ends];
    return Buffer.from(
      readAll((into) => {
        const end = left.shift() ?? '';
        if (typeof end === 'object') throw end;
        into.set(Buffer.from(end));
        return end.length;
      }),
    ).toString();
  };

  it('keeps what it has while a pipe is empty, and reads on', () => {
    assert.equal(readOf(failure('EAGAIN'), 'one ', failure('EAGAIN'), failure('EAGAIN'), 'two'), 'one two');
    assert.equal(readOf(''), '');
  });

  it('ends where Windows reports the end as an error, and fails with any other', () => {
    assert.equal(readOf('one', failure('EOF')), 'one');
    assert.throws(() => readOf('one', failure('EISDIR')), { code: 'EISDIR' });
  });

  it('reads more than one buffer', () => {
    assert.equal(readOf('x'.repeat(65_536), 'y'.repeat(65_536), 'z').length, 131_073);
  });
});
