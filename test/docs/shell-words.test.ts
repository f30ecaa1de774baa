import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { commandsOf } from '../support/documents/shell-words.ts';

const cases: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'a b # c': [['a', 'b']],
  'a \\\n  b': [['a', 'b']],
  'a b;c\nd && e || f | g &': [['a', 'b'], ['c'], ['d'], ['e'], ['f'], ['g']],
  'a \'b c\' "d $E" f"g"h': [['a', 'b c', 'd $E', 'fgh']],
  "a 'it'\\''s'": [['a', "it's"]],
  'a "\\"b\\""': [['a', '"b"']],
  'X=1 Y="2 3" a b': [['a', 'b']],
  'x=$(a b)': [['a', 'b']],
  'a "b/$(c d)"': [
    ['a', 'b/$(…)'],
    ['c', 'd'],
  ],
  'a < b > c 2>&1 >> d 2> e f': [['a', 'f']],
  'a <<< "b" c': [['a', 'c']],
  "a <<'END' b\nc d\nEND\ne": [['a', 'b'], ['e']],
  'source <(a b)': [
    ['source', '$(…)'],
    ['a', 'b'],
  ],
  'if a; then sudo b; else ! c; fi': [['a'], ['b'], ['c']],
  'for x in 1 2; do a; done': [['a']],
  '$env:A = a b': [['a', 'b']],
  'a *> "$b"': [['a']],
};

describe('commandsOf()', () => {
  for (const [script, commands] of Object.entries(cases))
    it(`reads ${JSON.stringify(script)}`, () => assert.deepEqual(commandsOf(script), commands));

  it('refuses a quote that does not end', () => {
    assert.throws(() => commandsOf("a 'b"), /no shell command: 'b/);
  });
});
