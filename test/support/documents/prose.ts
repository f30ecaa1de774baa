import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Token } from 'markdown-it';
import { markdown } from '../../../build/docs/markdown.ts';
import { root } from '../../../build/root.ts';

/** The pages that users read: README, CHANGELOG, CONTRIBUTING, and all of docs/ and examples/. */
export function allPages(): string[] {
  const below = ['docs', 'examples'].flatMap((folder) =>
    readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.md') && !name.includes('node_modules'))
      .map((name) => path.posix.join(folder, name.replaceAll(path.sep, '/'))),
  );
  return ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', ...below.toSorted()];
}

/** A paragraph, heading, item or cell, without its marks; code within it is `code`. */
export interface Passage {
  readonly text: string;
  readonly line: number;
  readonly isHeading: boolean;
  /** Of a cell: the number of its column, from 0. */
  readonly column?: number;
}

export function passagesOf(page: string): Passage[] {
  const tokens = markdown.parse(readFileSync(path.join(root, page), 'utf8'), {});
  let line = 1;
  let column = -1;
  return tokens.flatMap((token, n) => {
    if (token.map) line = token.map[0] + 1;
    if (token.type === 'tr_open') column = -1;
    if (token.type === 'td_open' || token.type === 'th_open') column += 1;
    if (token.type === 'table_close') column = -1;
    if (token.type !== 'inline') return [];
    const passage = { text: plain(token), line, isHeading: tokens[n - 1]?.type === 'heading_open' };
    return [column < 0 ? passage : { ...passage, column }];
  });
}

function plain(token: Token): string {
  return (token.children ?? [])
    .map(({ type, content }) => {
      if (type === 'code_inline') return 'code';
      if (type === 'softbreak' || type === 'hardbreak') return ' ';
      return type === 'text' ? content : '';
    })
    .join('');
}

/** The sentences of a passage: they end in `.`, `?` or `!`, followed by a blank or the end. */
export function sentencesOf(text: string): string[] {
  return text
    .replaceAll(/\b(e\.g|i\.e|etc)\./g, '$1')
    .split(/(?<=[.?!][)”"'*]*)\s+/)
    .map((sentence) => sentence.trim())
    .filter(Boolean);
}

export function wordsOf(sentence: string): string[] {
  return sentence.split(/\s+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
}
