import type { Command } from '../command.ts';
import { type Page, pageOf, type Row, type Section } from './page.ts';
import { shellWords, wrap, wrapPieces } from './wrap.ts';

/** How a text appears on the terminal. */
export interface RenderOptions {
  /** Most characters of a line. */
  readonly width: number;
  readonly colour: boolean;
}

/** Longest term that has its text beside it. */
const LONGEST_TERM = 24;
/** A text with fewer characters than this in a line goes below its term. */
const NARROWEST_TEXT = 36;

/** The help of a command, laid out in lines no longer than `look.width`. */
export async function renderHelp(
  program: string,
  path: readonly string[],
  command: Command,
  look: RenderOptions,
): Promise<string> {
  const page = await pageOf(program, path, command);
  const blocks = [
    ...[page.summary, ...page.details].map((text) => wrap(text, look.width)),
    usage(page, look),
    ...renderSections([page.commands], look),
    ...renderSections(page.options, look),
    ...renderSections([page.exits], look),
    ...(path.length > 0 ? [] : [hintLines(program, look)]),
    examples(page.examples, look),
  ];
  return `${blocks
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

function usage({ synopsis }: Page, look: RenderOptions): string[] {
  const [first = '', ...more] = wrapPieces(['USAGE', ...synopsis], look.width - 6, 0);
  return [first.replace('USAGE', () => title('USAGE', look)), ...more.map((line) => `      ${line}`)];
}

/** Sections whose texts begin in one column. */
function renderSections(sections: readonly Section[], look: RenderOptions): string[][] {
  const lengths = sections.flatMap(({ rows }) => rows.map(({ term }) => term.length));
  const column = Math.min(LONGEST_TERM, Math.max(...lengths)) + 4;
  const isBeside = look.width - column >= NARROWEST_TEXT;
  return sections
    .filter(({ rows }) => rows.length > 0)
    .map(({ title: text, rows, note }) => [
      title(text, look),
      ...rows.flatMap((row) => (isBeside ? sideBySide(row, column, look) : stacked(row, look))),
      ...(note === undefined ? [] : wrap(note, look.width - 2).map((line) => `  ${line}`)),
    ]);
}

function stacked({ term, text }: Row, look: RenderOptions): string[] {
  return [`  ${name(term, look)}`, ...wrap(text, look.width - 6).map((line) => `      ${line}`)];
}

function sideBySide({ term, text }: Row, column: number, look: RenderOptions): string[] {
  const [first = '', ...more] = wrap(text, look.width - column);
  const indent = ' '.repeat(column);
  const gap = column - 2 - term.length;
  const head = `  ${name(term, look)}`;
  const rest = more.map((line) => `${indent}${line}`);
  return gap < 2 ? [head, `${indent}${first}`, ...rest] : [`${head}${' '.repeat(gap)}${first}`, ...rest];
}

function hintLines(program: string, look: RenderOptions): string[] {
  return wrap(`'${program} help COMMAND' shows the options of a command.`, look.width);
}

function examples(lines: readonly string[], look: RenderOptions): string[] {
  if (lines.length === 0) return [];
  return [title('EXAMPLES', look), ...lines.flatMap((line) => example(line, look.width))];
}

/** A command line that is too long continues after a backslash, so that it works as it is shown. */
function example(line: string, width: number): string[] {
  const room = width - 4;
  const [first = '', ...more] = wrapPieces(withValues(shellWords(line), room - 2), room, 2);
  const lines = [`  ${first}`, ...more.map((rest) => `    ${rest}`)];
  return lines.map((text, n) => (n < lines.length - 1 ? `${text} \\` : text));
}

/** Keeps an option and its value in one line if they fit. */
function withValues(words: readonly string[], room: number): string[] {
  const pieces: string[] = [];
  for (const word of words) {
    const before = pieces.at(-1);
    const isValue = before !== undefined && /^--[a-z-]+$/.test(before) && !word.startsWith('-');
    if (isValue && before.length + 1 + word.length <= room) pieces[pieces.length - 1] = `${before} ${word}`;
    else pieces.push(word);
  }
  return pieces;
}

const title = (text: string, { colour }: RenderOptions): string =>
  colour ? `\u001b[1m${text}\u001b[22m` : text;
const name = (text: string, { colour }: RenderOptions): string =>
  colour ? `\u001b[36m${text}\u001b[39m` : text;
