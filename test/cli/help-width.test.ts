import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { helpWidth } from '../../src/cli/help/width.ts';
import { shellWords, wrap, wrapPieces } from '../../src/cli/help/wrap.ts';

describe('helpWidth()', () => {
  it('takes COLUMNS, else the terminal, else 80', () => {
    assert.equal(helpWidth('60', 90), 60);
    assert.equal(helpWidth(undefined, 90), 90);
    assert.equal(helpWidth(undefined, undefined), 80);
    // A terminal that does not know its size says 0.
    assert.equal(helpWidth(undefined, 0), 80);
  });

  it('takes no COLUMNS that is no number', () => {
    for (const columns of ['', '0', '-5', 'wide', '6e1', '9'.repeat(400)])
      assert.equal(helpWidth(columns, 90), 90, columns);
  });

  it('is at least 40 and at most 100', () => {
    assert.equal(helpWidth('1', undefined), 40);
    assert.equal(helpWidth('999999', undefined), 100);
    assert.equal(helpWidth(undefined, 200), 100);
    assert.equal(helpWidth(undefined, 20), 40);
  });
});

describe('wrap()', () => {
  it('breaks at spaces, but not at no-break spaces', () => {
    assert.deepEqual(wrap('one two three', 7), ['one two', 'three']);
    assert.deepEqual(wrap('one two\u00a0three', 7), ['one', 'two three']);
    assert.deepEqual(wrap('', 7), []);
  });

  it('leaves room at the end of every line but the last', () => {
    assert.deepEqual(wrapPieces(['aaa', 'bbb'], 7, 2), ['aaa bbb']);
    assert.deepEqual(wrapPieces(['aaa', 'bbb', 'ccc'], 7, 2), ['aaa', 'bbb ccc']);
  });
});

describe('shellWords()', () => {
  it('takes quoted text as one word', () => {
    assert.deepEqual(shellWords(`a --data '{"b": 1}' "$C d" e='f g'h`), [
      'a',
      '--data',
      `'{"b": 1}'`,
      '"$C d"',
      `e='f g'h`,
    ]);
  });
});
