import MarkdownIt, { type Token } from 'markdown-it';

/** The dialect of the pages: GitHub's, without what the pages do not use. */
export const markdown: MarkdownIt = new MarkdownIt({ html: true });

/** The targets of links and pictures, in order. */
export function linksOf(text: string): string[] {
  return inlines(text).flatMap((token) => {
    const href = token.attrGet('href') ?? token.attrGet('src');
    return href === null ? [] : [href];
  });
}

/** The anchors of headings, as GitHub makes them: a repeated one gets `-1`. */
export function anchorsOf(text: string): string[] {
  const seen = new Map<string, number>();
  const tokens = markdown.parse(text, {});
  return tokens.flatMap((token, n) => {
    if (token.type !== 'heading_open') return [];
    return [anchorOf(headingText(tokens[n + 1]), seen)];
  });
}

/** The anchor of a heading that comes after those in `seen`. */
export function anchorOf(heading: string, seen: Map<string, number>): string {
  const slug = heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, '')
    .replaceAll(' ', '-');
  const count = seen.get(slug) ?? 0;
  seen.set(slug, count + 1);
  return count === 0 ? slug : `${slug}-${count}`;
}

/** The text of a heading, code included. */
export function headingText(inline: Token | undefined): string {
  return (inline?.children ?? [])
    .filter(({ type }) => type === 'text' || type === 'code_inline')
    .map(({ content }) => content)
    .join('');
}

function inlines(text: string): Token[] {
  return markdown.parse(text, {}).flatMap(({ children }) => children ?? []);
}
