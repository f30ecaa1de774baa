/** Parts of a page that are made, between two marks; what people write is around them. */
export type Sections = Readonly<Record<string, string>>;

const begin = (name: string): string => `<!-- made by npm run build:reference: ${name} -->`;
const end = (name: string): string => `<!-- end of ${name} -->`;
const marked = /<!-- made by npm run build:reference: ([\w-]+) -->\n([^]*?)<!-- end of \1 -->/g;

/**
 * A page with each of its made parts anew.
 * @throws Error where the page lacks the marks of a part, has them twice, or has marks of a part that nothing makes.
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

/** A Markdown table; the columns are padded, as everywhere in the pages. */
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

/** A list in words: `a, b or c`. */
export function anyOf(items: readonly string[]): string {
  return items.length < 2 ? items.join('') : `${items.slice(0, -1).join(', ')} or ${items.at(-1)}`;
}
