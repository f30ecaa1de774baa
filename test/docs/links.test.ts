import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { root } from '../../build/root.ts';
import { anchorsOf, linksOf } from '../../build/docs/markdown.ts';
import { allPages } from '../support/documents/prose.ts';

const textOf = (page: string): string => readFileSync(path.join(root, page), 'utf8');
/** The pages that users find from the index. Records of decisions have an index of their own, with a test of its own. */
const indexed = allPages().filter(
  (page) => page.startsWith('docs/') && page !== 'docs/README.md' && !/^docs\/decisions\/\d/.test(page),
);

/** What is wrong with the links of a page, relative to the project. */
function brokenLinks(page: string, text: string): string[] {
  return linksOf(text)
    .filter((href) => !/^[a-z]+:/.test(href))
    .flatMap((href) => {
      const [file = '', anchor] = href.split('#');
      const target = file === '' ? page : path.posix.join(path.posix.dirname(page), file);
      if (file !== '' && !existsSync(path.join(root, target))) return [`${href}: no such file`];
      if (anchor === undefined) return [];
      const targetText = file === '' ? text : textOf(target);
      return anchorsOf(targetText).includes(anchor) ? [] : [`${href}: no such heading`];
    });
}

describe('links', () => {
  for (const page of allPages())
    it(`of ${page} lead to files and headings that exist`, () => {
      assert.deepEqual(brokenLinks(page, textOf(page)), []);
    });

  it('that lead nowhere are found', () => {
    const page =
      '# A\n\n## The `code`: a heading\n\n[a](#the-code-a-heading) [b](#other) [c](nothing.md) [d](cli.md#start) [e](cli.md#x)\n';
    assert.deepEqual(brokenLinks('docs/page.md', page), [
      '#other: no such heading',
      'nothing.md: no such file',
      'cli.md#x: no such heading',
    ]);
  });
});

/** The files of the project that a text names in code and that do not exist. */
function absentFiles(text: string): string[] {
  const named = text.matchAll(/`((?:build|docs|examples|src|test)\/[\w./-]+)`/g);
  return [...named].map(([, file = '']) => file).filter((file) => !existsSync(path.join(root, file)));
}

describe('files of the project', () => {
  it('that pages name exist', () => {
    const absent = allPages().flatMap((page) => absentFiles(textOf(page)).map((file) => `${page}: ${file}`));
    assert.deepEqual(absent, []);
  });

  it('that do not exist are found', () => {
    assert.deepEqual(absentFiles('`src/cli/` `src/nothing.ts` `test/docs/links.test.ts`'), [
      'src/nothing.ts',
    ]);
  });
});

describe('docs/README.md', () => {
  const index = textOf('docs/README.md');

  it('has every page once, with a line about it', () => {
    const listed = linksOf(index)
      .filter((href) => !href.startsWith('..'))
      .map((href) => `docs/${href}`);
    assert.deepEqual(listed.toSorted(), indexed.toSorted());
    for (const line of index.split('\n').filter((each) => each.startsWith('- ')))
      assert.match(line, /^- \[[^\]]+\]\([^)]+\): .{20,}\.$/);
  });

  it('has the sections in the order in which they are read', () => {
    const sections = [...index.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
    assert.deepEqual(sections, [
      'Tutorial',
      'How-to',
      'Reference',
      'Explanation',
      'Troubleshooting',
      'Comparison',
    ]);
  });
});
