/**
 * A text as one word of a command line: in single quotes where a shell would read it differently without
 * them.
 */
export function shellWord(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
