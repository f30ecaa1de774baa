import path from 'node:path';
import MarkdownIt, { type Options, type Token } from 'markdown-it';
import { anchorOf, headingText } from './markdown.ts';

/** A piece of a page that a search finds: the text below one heading. */
export interface Section {
  /** `#anchor`, or `''` for the text above the second heading. */
  readonly anchor: string;
  readonly heading: string;
  readonly text: string;
}

/**
 * Markdown as HTML for the site: headings with the anchors of the pages, and links to `.html`. Boxes surround
 * elements that may be wider than the screen; the keyboard can scroll them.
 */
export function siteMarkdown(): MarkdownIt {
  const markdown = new MarkdownIt({ html: true });
  const { rules } = markdown.renderer;
  markdown.core.ruler.push('anchors', ({ tokens }) => {
    const seen = new Map<string, number>();
    for (const [n, token] of tokens.entries())
      if (token.type === 'heading_open') token.attrSet('id', anchorOf(headingText(tokens[n + 1]), seen));
  });
  markdown.core.ruler.push('links', ({ tokens }) => {
    for (const token of tokens.flatMap(({ children }) => children ?? [])) {
      const href = token.attrGet('href');
      if (href !== null) token.attrSet('href', siteHref(href));
    }
  });
  // An empty header cell is no header to a screen reader.
  markdown.core.ruler.push('corners', ({ tokens }) => {
    for (const [n, token] of tokens.entries())
      if (token.type.startsWith('th_') && (tokens[n + 1]?.content === '' || tokens[n - 1]?.content === ''))
        token.tag = 'td';
  });
  rules.fence = (tokens: Token[], n: number): string => {
    const { info = '', content = '' } = tokens[n] ?? {};
    const [language = '', ...title] = info.split(' ');
    const label = title.join(' ') || language || 'text';
    return `<pre tabindex="0" role="group" aria-label="${escape(label)}"><code>${escape(content)}</code></pre>\n`;
  };
  rules.table_open = () => '<div class="wide" tabindex="0" role="group" aria-label="Table"><table>\n';
  rules.table_close = () => '</table></div>\n';
  // A comment tells the tests how to run a block.
  rules.html_block = (tokens: Token[], n: number, options: Options): string =>
    tokens[n]?.content.startsWith('<!--') || !options.html ? '' : (tokens[n]?.content ?? '');
  return markdown;
}

/** `docs/cli.md#ping` is `docs/cli.html#ping` in the site; README of a folder is its `index.html`. */
export function siteHref(href: string): string {
  if (/^[a-z]+:/.test(href)) return href;
  const [file = '', anchor] = href.split('#');
  return sitePath(file) + (anchor === undefined ? '' : `#${anchor}`);
}

/** The file of the site for a page, or for the folder of a README; other files keep their names. */
export function sitePath(file: string): string {
  if (file !== '' && path.posix.extname(file) === '') return path.posix.join(file, 'index.html');
  return file.replace(/(^|\/)README\.md$/, '$1index.html').replace(/\.md$/, '.html');
}

/** The texts below the headings of a page. */
export function sectionsOf(markdown: MarkdownIt, text: string): Section[] {
  const sections: { anchor: string; heading: string; text: string }[] = [];
  const tokens = markdown.parse(text, {});
  for (const [n, token] of tokens.entries()) {
    const before = tokens[n - 1];
    if (token.type === 'fence') append(sections, token.content);
    if (token.type !== 'inline') continue;
    if (before?.type !== 'heading_open') append(sections, plain(token));
    else {
      const anchor = before.tag === 'h1' ? '' : `#${before.attrGet('id') ?? ''}`;
      sections.push({ anchor, heading: headingText(token), text: '' });
    }
  }
  return sections;
}

function append(sections: { text: string }[], text: string): void {
  const last = sections.at(-1);
  if (last) last.text += `${text} `;
}

function plain(token: Token): string {
  return (token.children ?? []).map(({ type, content }) => (type === 'softbreak' ? ' ' : content)).join('');
}

export function escape(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
