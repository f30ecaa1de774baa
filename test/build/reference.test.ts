import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root, tool } from '../../build/root.ts';
import { listFiles } from '../../build/stamp.ts';
import { exitCodes } from '../../src/cli/help/exit-codes.ts';
import { allCommands } from '../support/all-commands.ts';
import { run, type RunResult } from '../support/run.ts';
import { tempDir } from '../support/temp.ts';

const page = readFileSync(path.join(root, 'docs', 'cli.md'), 'utf8');
const reference = (...args: string[]): Promise<RunResult> =>
  run([tool('node'), path.join(root, 'build', 'reference.ts'), ...args]);

/** What is between the heading of a section and the next one. */
function sectionOf(title: string): string {
  const [, text] = page.split(`\n## ${title}\n`);
  assert.ok(text !== undefined, `no section '${title}'`);
  return text.split('\n## ')[0] ?? '';
}

describe('docs/cli.md', () => {
  it('is what the tables say', async () => {
    const { code, stderr } = await reference('--check');
    assert.equal(code, 0, stderr);
  });

  it('is told from a page that the tables do not say, and written anew', async () => {
    const file = path.join(tempDir(), 'cli.md');
    writeFileSync(file, page.replace('--ttl', '--lifetime'));
    const { code, stderr } = await reference('--check', file);
    assert.equal(code, 1);
    assert.match(stderr, /is not what the tables in src\/cli say: npm run build:reference\n$/);
    assert.equal((await reference(file)).code, 0);
    assert.equal(readFileSync(file, 'utf8'), page);
  });

  it('has every command with all of its options and examples', () => {
    for (const { program, path: words, command } of allCommands()) {
      if (program === 'bpclient' || !command.load) continue;
      const text = sectionOf(words.join(' '));
      for (const name of command.options ?? [])
        assert.match(text, new RegExp(`--${name}\\b`), words.join(' '));
      for (const line of command.examples ?? []) assert.ok(text.includes(line), line);
    }
  });

  it('has every exit code, and every variable of the environment that a user may set', () => {
    for (const [code, text] of Object.entries(exitCodes))
      assert.ok(sectionOf('Exit codes').includes(`- \`${code}\`: ${text}\n`), code);
    // Of the build, and between a broker and the hosts that it starts.
    const own = /^BPBROKER_(?:COMMIT|TARGET|EXTENSION_\w+)$/;
    const named = listFiles(path.join(root, 'src'))
      .filter((file) => file.endsWith('.ts'))
      .flatMap((file) => readFileSync(file, 'utf8').match(/\bBPBROKER_[A-Z_]+\b/g) ?? []);
    assert.ok(named.length > 20);
    for (const name of new Set(named)) if (!own.test(name)) assert.ok(page.includes(`- \`${name}\`: `), name);
  });

  it('leads nowhere that does not exist', () => {
    const titles = page.match(/(?<=^## ).*$/gm) ?? [];
    const anchors = new Set(titles.map((title) => title.toLowerCase().replaceAll(' ', '-')));
    for (const [, anchor = ''] of page.matchAll(/\]\(#([^)]*)\)/g)) assert.ok(anchors.has(anchor), anchor);
  });
});
