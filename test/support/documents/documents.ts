import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../../build/root.ts';

/** A fenced block of a page. */
export interface Block {
  /** The first word behind the fence: `ts`, `console`. */
  readonly language: string;
  /** The rest of that line: the name of the file that the block is, say. */
  readonly title: string;
  readonly text: string;
  /** Of the fence, counted from 1. */
  readonly line: number;
  /** What a comment in the line before the fence says, such as `not run: it needs a real Windows`. */
  readonly mark: string;
}

/** The fenced blocks of a Markdown page, in order. */
export function blocksOf(page: string): Block[] {
  const text = readFileSync(path.join(root, page), 'utf8');
  return [...text.matchAll(/^```(\w+) ?(.*)\n([^]*?)^```$/gm)].map((match) => {
    const [, language = '', title = '', content = ''] = match;
    const before = text.slice(0, match.index);
    const mark = /<!-- (.*) -->\n\n?$/.exec(before)?.[1] ?? '';
    return { language, title, text: content, line: before.split('\n').length, mark };
  });
}

/** A command that is typed into a terminal, and what the terminal shows then. */
export interface Exchange {
  readonly command: string;
  readonly shown: string;
}

/** The exchanges of a terminal session: `$ ` is before each command, all else is output. */
export function exchangesOf(session: string): Exchange[] {
  return session
    .split(/^\$ /m)
    .slice(1)
    .map((part) => {
      const end = part.indexOf('\n');
      return { command: part.slice(0, end), shown: part.slice(end + 1) };
    });
}

/** Abbreviations of a page, such as `8c2f…` for a key, with what they turned out to stand for. */
export type Abbreviations = Map<string, string>;

/** Writes out what a page abbreviates, as far as it is known. */
export function expand(text: string, known: Abbreviations): string {
  return [...known].reduce((result, [short, long]) => result.replaceAll(short, long), text);
}

/**
 * Whether output is what a page shows. `…` stands for any text within a line; `8c2f…` for a word, the same one wherever the
 * page has it.
 */
export function matches(shown: string, actual: string, known: Abbreviations): boolean {
  const names: string[] = [];
  const pattern = expand(shown, known)
    .split(/(\w*…)/)
    .map((piece) => {
      if (!piece.endsWith('…')) return piece.replaceAll(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`);
      if (piece === '…') return '.*';
      names.push(piece);
      return String.raw`(\w+)`;
    });
  const match = new RegExp(`^${pattern.join('')}$`).exec(actual);
  if (!match) return false;
  for (const [n, name] of names.entries()) known.set(name, match[n + 1] ?? '');
  return true;
}
