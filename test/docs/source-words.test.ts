import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { listFiles } from '../../build/stamp.ts';
import { passagesIn, type SourceText, textsOf } from '../support/documents/source-text.ts';
import { faultsIn, lengthOf, LONGEST, turnsOf } from '../support/documents/turns.ts';

const covered = ['src', 'build', 'test', 'examples'];

/** One is made of other sources, and two show what is wrong. */
const exempt = new Set([
  'src/api/page/assets.ts',
  'test/docs/words.test.ts',
  'test/docs/source-words.test.ts',
]);

type Rule = (sentence: string) => string[];

/** What is wrong with the comments of a source, and with its messages: strings of more than one word. */
function faultsOf(texts: readonly SourceText[], inComments: Rule, inMessages: Rule): string[] {
  return texts.flatMap(({ kind, text, line }) => {
    const [passages, rule] =
      kind === 'comment' ? [passagesIn(text), inComments] : [text.includes(' ') ? [text] : [], inMessages];
    return passages.flatMap((passage) => faultsIn(passage, rule)).map((fault) => `${line}: ${fault}`);
  });
}

const none: Rule = () => [];
const sources = covered
  .flatMap((at) => listFiles(path.join(root, at)))
  .map((file) => path.relative(root, file).replaceAll(path.sep, '/'))
  .filter((file) => file.endsWith('.ts') && !file.includes('/node_modules/') && !exempt.has(file))
  .map((file) => ({ file, texts: textsOf(readFileSync(path.join(root, file), 'utf8')) }));

function faults(inComments: Rule, inMessages: Rule): string[] {
  return sources.flatMap(({ file, texts }) =>
    faultsOf(texts, inComments, inMessages).map((fault) => `${file}:${fault}`),
  );
}

describe('comments and messages of the sources', () => {
  it('have none of the banned turns', () => {
    assert.deepEqual(faults(turnsOf, turnsOf), []);
  });

  it(`have at most ${LONGEST} words in a sentence of a comment`, () => {
    assert.deepEqual(faults(lengthOf, none), []);
  });

  it('exist in every covered folder', () => {
    for (const at of covered)
      assert.ok(
        sources.some(({ file }) => file.startsWith(at)),
        at,
      );
  });
});

describe('faultsOf()', () => {
  it('finds a turn in comments, strings and templates, with its line', () => {
    const source = [
      '/** It is told. */',
      "const text = 'The name stands.';",
      '// A comment.',
      '// It is told.',
      '/* A block',
      ' * in which it stands. */',
      'const made = `The ${of(`inner`)} stands ${{ a: 1 }.a} and stood.`;',
      "const key = 'stands';",
      "const quotient = a / b; // It stands. / '",
    ].join('\n');
    assert.deepEqual(
      faultsOf(textsOf(source), turnsOf, turnsOf).map((fault) => fault.replace(/: write .*/, '')),
      ['1', '2', '3', '5', '7', '7', '9'],
    );
  });

  it('counts the words of a comment, by sentence, item and tag, without code, examples and directives', () => {
    const words = (count: number): string => 'word '.repeat(count).trim();
    const comment = (...lines: string[]): string => `/**\n${lines.map((line) => ` * ${line}\n`).join('')} */`;
    const right = [
      comment(`${words(20)}.`, `${words(20)}.`),
      comment(words(20), `- ${words(20)}`, `@param a ${words(20)}`, '', words(20)),
      comment('```', words(40), '```'),
      comment(words(29), `\`${words(20)}\``),
      `// ${words(29)}\n// oxlint-disable-next-line -- ${words(20)}`,
    ];
    for (const source of right) assert.deepEqual(faultsOf(textsOf(source), lengthOf, lengthOf), [], source);
    for (const source of [comment(words(20), words(11)), `// ${words(20)}\n// ${words(11)}`])
      assert.equal(faultsOf(textsOf(source), lengthOf, lengthOf).length, 1, source);
  });

  it('takes a slash for what it is', () => {
    const source = 'const found = /\'[/`]/.test(a) ? b / c : d.replace(/`/g, "x"); // It is told.';
    assert.equal(faultsOf(textsOf(source), turnsOf, turnsOf).length, 1);
  });

  it('refuses a source that it cannot read to its end', () => {
    assert.throws(() => textsOf('const a = `never'), /^Error: line 1: `never has no end$/);
  });
});
