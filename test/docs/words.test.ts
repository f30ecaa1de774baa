import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { run, type RunResult } from '../support/programs/run.ts';
import { allPages, passagesOf, sentencesOf } from '../support/documents/prose.ts';
import { tempDir } from '../support/temp.ts';
import { faultsIn, lengthOf, LONGEST, turnsOf } from '../support/documents/turns.ts';

const config = path.join(root, 'build', 'docs', 'cspell.json');
const spell = (files: readonly string[]): Promise<RunResult> => {
  const args = ['lint', '--no-progress', '--no-summary', '--config', config, ...files];
  return run([process.execPath, path.join(root, 'node_modules', 'cspell', 'bin.mjs'), ...args], {
    cwd: root,
    timeoutMs: 120_000,
  });
};

/** Help is docs/cli.md: one is checked against the other by test/build/reference/reference.test.ts. */
describe('spelling', () => {
  it('of all pages is right', async () => {
    const { code, stdout, stderr } = await spell(allPages());
    assert.equal(code, 0, `${stdout}${stderr}\nA word of the field goes into build/docs/words.txt`);
  });

  it('of the messages in the sources is right', async () => {
    const { code, stdout, stderr } = await spell(['src/**/*.ts']);
    assert.equal(code, 0, `${stdout}${stderr}\nA word of the field goes into build/docs/words.txt`);
  });

  it('is told from a wrong one, in a page and in a message', async () => {
    const dir = tempDir();
    const page = path.join(dir, 'page.md');
    const source = path.join(dir, 'source.ts');
    writeFileSync(page, 'The brocker answers.\n');
    writeFileSync(
      source,
      "const notAMessage = 'brocker';\nthrow new Error('The brocker does not answer');\n",
    );
    const { code, stdout } = await spell(['--root', dir, page, source]);
    assert.equal(code, 1);
    assert.deepEqual(
      [...stdout.matchAll(/(page\.md|source\.ts):(\d+)/g)].map(([at]) => at),
      ['page.md:1', 'source.ts:2'],
    );
  });
});

/** What a run of `npm run prove` printed: figures, and no sentences. */
const isFigures = (page: string, column: number | undefined): boolean =>
  page === 'docs/reliability.md' && column === 2;

/** What is wrong with the sentences of the pages, headings apart: those may be questions. */
function faults(of: (sentence: string) => string[]): string[] {
  return allPages().flatMap((page) =>
    passagesOf(page)
      .filter(({ isHeading, column }) => !isHeading && !isFigures(page, column))
      .flatMap(({ text, line }) => faultsIn(text, of).map((fault) => `${page}:${line}: ${fault}`)),
  );
}

describe('sentences', () => {
  it('have none of the banned turns', () => {
    assert.deepEqual(faults(turnsOf), []);
  });

  it(`have at most ${LONGEST} words`, () => {
    assert.deepEqual(faults(lengthOf), []);
  });

  it('with a banned turn, or too many words, are found', () => {
    for (const wrong of [
      'The name stands.',
      'Who waits is served.',
      'It is told.',
      'Of all, the later wins.',
    ])
      assert.equal(turnsOf(wrong).length, 1, wrong);
    for (const right of ['It stands for a key.', 'A client who waits is served.', 'They are told apart.'])
      assert.deepEqual(turnsOf(right), [], right);
    assert.deepEqual(lengthOf(`${'word '.repeat(30)}end.`), ['31 words']);
    assert.deepEqual(lengthOf(`${'word '.repeat(29)}end.`), []);
  });

  it('are all that a page has, but for the figures of reliability.md', () => {
    const first = passagesOf('docs/reliability.md').find(({ column }) =>
      isFigures('docs/reliability.md', column),
    );
    assert.equal(first?.text, 'figures');
    assert.equal(isFigures('docs/scale.md', 2), false);
  });

  it('are counted as a reader would', () => {
    assert.deepEqual(sentencesOf('One. **Two, e.g. three?** It is 1.5; four: five.'), [
      'One.',
      '**Two, e.g three?**',
      'It is 1.5; four: five.',
    ]);
  });
});
