import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { type Block, blocksOf } from '../support/documents/documents.ts';
import { allPages } from '../support/documents/prose.ts';
import { commandsOf } from '../support/documents/shell-words.ts';
import { commandLanguages } from '../support/documents/typed-page.ts';

/**
 * Every command block of every page is typed by a test. Else a comment before it says why not, `<!-- not run: REASON -->`, or
 * which test does what it says, `<!-- run by: FILE -->`.
 */

/** The tests that type all blocks of a page, or of a folder of pages, that bear no mark; `console`: those of sessions alone. */
const typedBy: ReadonlyArray<readonly [place: string, test: string, only?: 'console']> = [
  ['README.md', 'test/docs/readme.test.ts'],
  ['docs/api.md', 'test/docs/reference.test.ts'],
  ['docs/audit.md', 'test/docs/reference.test.ts'],
  ['docs/cli.md', 'test/programs/terminal/help-examples.test.ts'],
  ['docs/discovery.md', 'test/docs/reference.test.ts'],
  ['docs/extensions.md', 'test/docs/extensions.test.ts'],
  ['docs/how-to', 'test/docs/how-to.test.ts'],
  ['docs/lock.md', 'test/docs/reference.test.ts'],
  ['docs/monitoring.md', 'test/docs/reference.test.ts'],
  ['docs/operate.md', 'test/docs/operate.test.ts'],
  ['docs/runtimes.md', 'test/anywhere/servers.test.ts'],
  ['docs/scale.md', 'test/docs/scale.test.ts'],
  ['docs/scripts.md', 'test/docs/reference.test.ts'],
  ['docs/troubleshooting.md', 'test/docs/reference.test.ts'],
  ['docs/tutorial.md', 'test/docs/tutorial.test.ts'],
  ['examples/README.md', 'test/docs/examples.test.ts', 'console'],
  ['examples/express', 'test/anywhere/readmes.test.ts', 'console'],
  ['examples/worker', 'test/anywhere/readmes.test.ts', 'console'],
];

/** How far apart the words of a command may be in the test that runs it, in lines. */
const NEAR = 12;

const has = (file: string): boolean => existsSync(path.join(root, file));
const textOf = (file: string): string => readFileSync(path.join(root, file), 'utf8');

/** The words that a test must have for a command: the program, its commands and options, and no values of a user's. */
function tellingWords([program = '', ...args]: readonly string[]): string[] {
  const telling = args
    .map((word) => (word.startsWith('--') ? (word.split('=')[0] ?? '') : word))
    .filter(
      (word, n) => word.startsWith('-') || (/^[a-z][a-z-]+$/.test(word) && !args[n - 1]?.startsWith('--')),
    );
  return [path.posix.basename(program), ...telling];
}

function hasWord(text: string, word: string): boolean {
  const literal = word.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
  return new RegExp(String.raw`(?<![\w-])${literal}(?![\w-])`).test(text);
}

/** The commands of a block of which a test has not all words within some lines. */
function missingIn(test: string, block: string): string[] {
  const lines = test.split('\n');
  const near = lines.map((_, n) => lines.slice(n, n + NEAR).join('\n'));
  return commandsOf(block)
    .filter((command) => !near.some((part) => tellingWords(command).every((word) => hasWord(part, word))))
    .map((command) => command.join(' '));
}

/** Whether a test reads the page, and picks the block by words that are in it. */
function picks(test: string, page: string, block: string): boolean {
  const literals = [...test.matchAll(/'([^'\n]{8,})'/g)].map(([, text = '']) => text);
  return literals.includes(page) && literals.some((literal) => block.includes(literal));
}

/** What is wrong with the mark of a block, or nothing. */
function markProblem(page: string, { mark, text }: Pick<Block, 'mark' | 'text'>): string | undefined {
  const [, how, rest = ''] = /^(run by|not run): (.+)$/.exec(mark) ?? [];
  const absent = [...rest.matchAll(/test\/\S+\.ts/g)].map(([file]) => file).filter((file) => !has(file));
  if (absent.length > 0) return `there is no ${absent.join(', ')}`;
  if (how === 'not run') return rest.length > 15 ? undefined : 'it gives no reason';
  if (how !== 'run by') return "it is neither 'run by: FILE' nor 'not run: REASON'";
  if (!/^test\/\S+\.test\.ts$/.test(rest)) return 'it names no test';
  const test = textOf(rest);
  if (picks(test, page, text)) return undefined;
  const missing = missingIn(test, text);
  return missing.length > 0 ? `the test does not run: ${missing.join('; ')}` : undefined;
}

describe('command blocks', () => {
  for (const page of allPages()) {
    const commands = blocksOf(page).filter(({ language }) => commandLanguages.has(language));
    if (commands.length === 0) continue;
    const [place = '', , only] = typedBy.find(([name]) => page.startsWith(name)) ?? [];
    it(`of ${page} are typed by a test or say why not`, () => {
      for (const block of commands) {
        const where = `${page}, line ${block.line}`;
        if (block.mark !== '') assert.equal(markProblem(page, block), undefined, `${where}: ${block.mark}`);
        else
          assert.ok(only === undefined || block.language === only, `${where} is not typed, and needs a mark`);
        if (block.mark === '') assert.notEqual(place, '', `${where} needs a mark: no test types this page`);
      }
    });
  }

  for (const [place, test] of typedBy)
    it(`of ${place} are typed by a test that names it: ${test}`, () => {
      assert.ok(has(place), place);
      assert.ok(has(test) && textOf(test).includes(`'${place}'`), test);
    });

  it('of README are marked but for the first, which is the one that is typed', () => {
    const [first, ...others] = blocksOf('README.md').filter(({ language }) => commandLanguages.has(language));
    assert.equal(first?.mark, '');
    for (const { mark, line } of others) assert.notEqual(mark, '', `line ${line}`);
  });
});

describe('the mark of a block', () => {
  const page = 'docs/install.md';
  const problemOf = (mark: string, text = 'ln -s bpbroker bpclient\n'): string | undefined =>
    markProblem(page, { mark, text });

  it('is right where the test reads the page and picks the block, or has the words of its commands', () => {
    assert.equal(problemOf('run by: test/docs/install.test.ts'), undefined);
    assert.equal(
      problemOf('run by: test/os-service/systemd.test.ts', 'sudo ./bpbroker install-service --dry-run'),
      undefined,
    );
    assert.equal(problemOf('not run: it needs a real Windows'), undefined);
  });

  const wrong: Readonly<Record<string, readonly [problem: RegExp, text?: string]>> = {
    'run by: test/docs/nothing.test.ts': [/^there is no test\/docs\/nothing/],
    'run by: test/support/programs/run.ts': [/^it names no test/],
    'run by: .ci/run': [/^it names no test/],
    // It reads the page, and has no such block.
    'run by: test/docs/install.test.ts': [/does not run: bpbroker backup/, 'bpbroker backup\n'],
    // It has the program and the command, and not the option.
    'run by: test/os-service/systemd.test.ts': [
      /install-service --data-file/,
      'bpbroker install-service --data-file x',
    ],
    'not run: Windows': [/no reason/],
    'not run: it is done by test/docs/nothing.test.ts': [/^there is no/],
    'run at: night': [/^it is neither/],
  };
  for (const [mark, [problem, text]] of Object.entries(wrong))
    it(`'${mark}' is found to be wrong${text ? ` for ${text.trim()}` : ''}`, () => {
      assert.match(problemOf(mark, text) ?? '', problem);
    });
});
