/** The made parts of a page by name. Each is between two marks, and hand-written text is around them. */
export type Sections = Readonly<Record<string, string>>;

const begin = (name: string): string => `<!-- made by npm run build:reference: ${name} -->`;
const end = (name: string): string => `<!-- end of ${name} -->`;
const marked = /<!-- made by npm run build:reference: ([\w-]+) -->\n([^]*?)<!-- end of \1 -->/g;

/**
 * Returns a page with its made parts replaced.
 * @throws Error when the marks of a part are missing, when they come twice, and when nothing makes a part that has marks.
 */
export function fillSections(page: string, sections: Sections): string {
  const found = [...page.matchAll(marked)].map(([, name = '']) => name);
  for (const name of Object.keys(sections)) {
    const times = found.filter((one) => one === name).length;
    if (times !== 1)
      throw new Error(
        `The marks of '${name}' are there ${times} times; expected '${begin(name)}' and '${end(name)}' once`,
      );
  }
  for (const name of found)
    if (!Object.hasOwn(sections, name)) throw new Error(`Nothing makes the part '${name}'; remove its marks`);
  return page.replaceAll(
    marked,
    (_, name: string) => `${begin(name)}\n\n${sections[name] ?? ''}\n\n${end(name)}`,
  );
}

/** Formats a Markdown table with padded columns, as all pages have them. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell) => cell.replaceAll('|', String.raw`\|`)));
  const widths = head.map((_, n) => Math.max(3, ...cells.map((row) => row[n]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    `| ${widths.map((width, n) => (row[n] ?? '').padEnd(width)).join(' | ')} |`;
  const [first = [], ...others] = cells;
  return [
    line(first),
    `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`,
    ...others.map(line),
  ].join('\n');
}

/** Joins items as a sentence does: `a, b or c`. */
export function anyOf(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} or ${items.at(-1)}`;
}
