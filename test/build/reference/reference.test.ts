import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { referencePages } from '../../../build/reference/pages.ts';
import { fillSections, table } from '../../../build/reference/sections.ts';
import { root, tool } from '../../../build/root.ts';
import { exitCodes } from '../../../src/cli/help/exit-codes.ts';
import { allCommands } from '../../support/programs/all-commands.ts';
import { run, type RunResult } from '../../support/programs/run.ts';
import { tempDir } from '../../support/temp.ts';

const docs = path.join(root, 'docs');
const page = readFileSync(path.join(docs, 'cli.md'), 'utf8');
const reference = (...args: string[]): Promise<RunResult> =>
  run([tool('node'), path.join(root, 'build', 'reference.ts'), ...args]);

/** What is between the heading of a section and the next one. */
function sectionOf(title: string): string {
  const [, text] = page.split(`\n## ${title}\n`);
  assert.ok(text !== undefined, `no section '${title}'`);
  return text.split('\n## ')[0] ?? '';
}

describe('the pages that are made of definitions', () => {
  it('are what the definitions say', async () => {
    const { code, stderr } = await reference('--check');
    assert.equal(code, 0, stderr);
  });

  it('are told from pages that the definitions do not say, and written anew', async () => {
    const folder = path.join(tempDir(), 'docs');
    cpSync(docs, folder, { recursive: true });
    // A word of a made part of each page, and another in its place.
    const words: Readonly<Record<string, readonly [string, string]>> = {
      'api.md': ['revision_conflict` | 409', 'revision_conflict` | 410'],
      'audit.md': ['67108864', '67108865'],
      'cli.md': ['--ttl', '--lifetime'],
      'configuration.md': ['from 0 to 65535', 'from 1 to 65535'],
      'troubleshooting.md': ['9: gave up waiting', '8: gave up waiting'],
    };
    const pages = await referencePages(docs);
    assert.deepEqual(Object.keys(words), pages.map(({ name }) => name).toSorted());
    for (const [name, [word, other]] of Object.entries(words)) {
      const text = readFileSync(path.join(folder, name), 'utf8');
      assert.ok(text.includes(word), name);
      writeFileSync(path.join(folder, name), text.replace(word, other));
    }
    const { code, stderr } = await reference('--check', folder);
    assert.equal(code, 1);
    const named = [
      ...stderr.matchAll(/^(.*) is not what the definitions in src say: npm run build:reference$/gm),
    ];
    assert.deepEqual(new Set(named.map(([, name]) => name)), new Set(Object.keys(words)));
    assert.equal((await reference(folder)).code, 0);
    for (const { name, text } of pages)
      assert.equal(readFileSync(path.join(folder, name), 'utf8'), text, name);
  });
});

describe('fillSections()', () => {
  const marks = (name: string, inside = ''): string =>
    `<!-- made by npm run build:reference: ${name} -->\n${inside}<!-- end of ${name} -->`;

  it('replaces what is between the marks, and nothing around them', () => {
    const text = `before\n\n${marks('a', 'old\n')}\n\nbetween\n\n${marks('b')}\n\nbehind\n`;
    const filled = fillSections(text, { a: 'new $1', b: 'other' });
    assert.equal(
      filled,
      `before\n\n${marks('a', '\nnew $1\n\n')}\n\nbetween\n\n${marks('b', '\nother\n\n')}\n\nbehind\n`,
    );
    assert.equal(fillSections(filled, { a: 'new $1', b: 'other' }), filled);
  });

  it('refuses a page that lacks the marks of a part, has them twice, or has marks of nothing', () => {
    assert.throws(() => fillSections('text', { a: '' }), /marks of 'a' are there 0 times/);
    assert.throws(() => fillSections(marks('a') + marks('a'), { a: '' }), /marks of 'a' are there 2 times/);
    assert.throws(() => fillSections(marks('a'), {}), /Nothing makes the part 'a'/);
  });
});

describe('table()', () => {
  it('pads its columns, and keeps a bar within a cell', () => {
    assert.equal(
      table(['a', 'long'], [['x|y', '1']]),
      ['| a    | long |', '| ---- | ---- |', String.raw`| x\|y | 1    |`].join('\n'),
    );
  });
});

describe('docs/cli.md', () => {
  it('has every command with all of its options and examples', () => {
    for (const { program, path: words, command } of allCommands()) {
      if (program === 'bpclient' || !command.load) continue;
      const text = sectionOf(words.join(' '));
      for (const name of command.options ?? [])
        assert.match(text, new RegExp(`--${name}\\b`), words.join(' '));
      for (const line of command.examples ?? []) assert.ok(text.includes(line), line);
    }
  });

  it('has every exit code', () => {
    for (const [code, text] of Object.entries(exitCodes))
      assert.ok(sectionOf('Exit codes').includes(`- \`${code}\`: ${text}\n`), code);
  });

  it('leads nowhere that does not exist', () => {
    const titles = page.match(/(?<=^## ).*$/gm) ?? [];
    const anchors = new Set(titles.map((title) => title.toLowerCase().replaceAll(' ', '-')));
    for (const [, anchor = ''] of page.matchAll(/\]\(#([^)]*)\)/g)) assert.ok(anchors.has(anchor), anchor);
  });
});
