import type { ParseError } from 'jsonc-parser';

/** The mistake in JSON text, and its place in characters. */
export interface JsonProblem {
  readonly offset: number;
  /** The place after the mistake. */
  readonly end: number;
  readonly problem: string;
}

/** In longer texts the beginning is checked first: most mistakes are there. */
const WINDOW = 64 * 1024;

/** Finds where and why `text` is not JSON. The runtimes word and locate this differently, Bun not at all. */
export async function findJsonProblem(text: string): Promise<JsonProblem> {
  const { parse, printParseErrorCode } = await import('jsonc-parser');
  for (let length = WINDOW; ; length *= 16) {
    const window = text.slice(0, length);
    const errors: ParseError[] = [];
    parse(window, errors, { disallowComments: true, allowTrailingComma: false });
    const [first] = errors;
    const isCut = length < text.length;
    // At the end of a window that is cut, the mistake is the cut.
    if (isCut && (first === undefined || first.offset + first.length >= window.length)) continue;
    const offset = first?.offset ?? text.length;
    const code = first ? printParseErrorCode(first.error) : 'InvalidSymbol';
    const words = code.replaceAll(/(?<=[a-z])(?=[A-Z])/g, ' ').toLowerCase();
    const found =
      // Only one character is shown, for the text may be a key.
      offset >= text.length ? 'the text ends' : `found ${JSON.stringify(text.charAt(offset))}`;
    return { offset, end: offset + (first?.length ?? 0), problem: `${words}, ${found}` };
  }
}

/** Line and column, from 1, of a place in `text`; columns count UTF-16 units. */
export function placeIn(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
}
