import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { blocksOf } from '../support/documents/documents.ts';
import { commandLanguages } from '../support/documents/typed-page.ts';

/**
 * Every command block of README, tutorial, how-to and reference is typed by a test. Else a comment before it
 * says why not, `<!-- not run: REASON -->`, or which test does so, `<!-- run by: FILE -->`.
 */

/** The tests that type all blocks of a page that bear no mark. */
const typedBy: Readonly<Record<string, string>> = {
  'README.md': 'test/docs/readme.test.ts',
  'docs/api.md': 'test/docs/reference.test.ts',
  'docs/cli.md': 'test/programs/terminal/help-examples.test.ts',
  'docs/discovery.md': 'test/docs/reference.test.ts',
  'docs/extensions.md': 'test/docs/extensions.test.ts',
  'docs/lock.md': 'test/docs/reference.test.ts',
  'docs/runtimes.md': 'test/anywhere/servers.test.ts',
  'docs/scripts.md': 'test/docs/reference.test.ts',
  'docs/tutorial.md': 'test/docs/tutorial.test.ts',
};
const howTo = readdirSync(path.join(root, 'docs', 'how-to')).map((name) => `docs/how-to/${name}`);
const marked = ['docs/install.md', 'docs/service.md'];

const has = (file: string): boolean => existsSync(path.join(root, file));

describe('command blocks', () => {
  for (const page of [...Object.keys(typedBy), ...howTo, ...marked]) {
    it(`of ${page} are typed by a test or say why not`, () => {
      const commands = blocksOf(page).filter(({ language }) => commandLanguages.has(language));
      for (const { mark, line } of commands) {
        const where = `${page}, line ${line}: '${mark}'`;
        const [, how, rest = ''] = /^(run by|not run): (.+)$/.exec(mark) ?? [];
        if (how === 'run by') assert.ok(has(rest), `${where} names no file`);
        else if (how === 'not run') assert.ok(rest.length > 15, `${where} gives no reason`);
        else assert.equal(mark, '', `${where} is neither 'run by: FILE' nor 'not run: REASON'`);
        for (const [file] of rest.matchAll(/test\/\S+\.ts/g)) assert.ok(has(file), `${where}: ${file}`);
        if (mark === '') assert.ok(!marked.includes(page), `${page}, line ${line} needs a mark`);
      }
      const test = typedBy[page];
      if (test) assert.ok(has(test), test);
    });
  }

  it('of README are marked but for the first, which is the one that is typed', () => {
    const [first, ...others] = blocksOf('README.md').filter(({ language }) => commandLanguages.has(language));
    assert.equal(first?.mark, '');
    for (const { mark, line } of others) assert.notEqual(mark, '', `line ${line}`);
  });
});
