import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { Eleventy, type UserConfig } from '@11ty/eleventy';
import MiniSearch from 'minisearch';
import { root } from '../root.ts';
import { type Group, renderPage } from './layout.ts';
import { linksOf, markdown } from './markdown.ts';
import { sectionsOf, siteHref, siteMarkdown, sitePath } from './render.ts';

/**
 * Makes the documentation a static site in `dist/docs`: `npm run docs`. It has the same pages, a navigation
 * in the order of docs/README.md, and a search. It needs no server: open `dist/docs/index.html`.
 */

const folders = ['docs', 'examples'];
const single = ['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md'];

/** Every page, relative to the project. */
function pagesIn(source: string): string[] {
  return readdirSync(source, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll(path.sep, '/'))
    .filter((name) => name.endsWith('.md'))
    .toSorted();
}

/** The headings of the index, each with its pages. */
function groupsOf(index: string): Group[] {
  const tokens = markdown.parse(index, {});
  const groups: { title: string; entries: { title: string; href: string }[] }[] = [];
  for (const [n, token] of tokens.entries()) {
    const inline = tokens[n + 1];
    if (token.type === 'heading_open' && token.tag === 'h2')
      groups.push({ title: inline?.content ?? '', entries: [] });
    const link = token.children?.[0];
    if (link?.type !== 'link_open') continue;
    const href = path.posix.join('docs', siteHref(link.attrGet('href') ?? ''));
    groups.at(-1)?.entries.push({ title: token.children?.[1]?.content ?? '', href });
  }
  return groups;
}

/** A script that holds the index: a page in a folder cannot fetch a file. */
function searchScript(source: string, pages: readonly string[]): string {
  const options = { fields: ['heading', 'title', 'text'], storeFields: ['href', 'heading', 'title'] };
  const index = new MiniSearch(options);
  const library = siteMarkdown();
  for (const page of pages) {
    const sections = sectionsOf(library, readFileSync(path.join(source, page), 'utf8'));
    const title = sections[0]?.heading ?? page;
    for (const [n, { anchor, heading, text }] of sections.entries())
      index.add({ id: `${page} ${n}`, href: sitePath(page) + anchor, heading, title, text });
  }
  return `window.siteIndex = ${JSON.stringify({ json: JSON.stringify(index), options })};\n`;
}

/** Makes Eleventy write the pages below the current folder. */
async function writePages(source: string, groups: readonly Group[]): Promise<void> {
  const config = (eleventy: UserConfig): object => {
    eleventy.setLibrary('md', siteMarkdown());
    eleventy.addGlobalData(
      'permalink',
      () =>
        ({ page }: { page: { inputPath: string } }) =>
          sitePath(page.inputPath),
    );
    eleventy.addTransform('layout', function layout(body) {
      const file = path.posix.relative('_site', path.posix.normalize(this.page.outputPath));
      const title = /<h1[^>]*>(.*?)<\/h1>/.exec(body)?.[1]?.replaceAll(/<[^>]+>/g, '') ?? file;
      return renderPage({ path: file, title, body, groups });
    });
    return { markdownTemplateEngine: false, templateFormats: ['md'] };
  };
  const before = process.cwd();
  process.chdir(source);
  try {
    await new Eleventy('.', '_site', { quietMode: true, config }).write();
  } finally {
    process.chdir(before);
  }
}

/** Targets of links that are not pages, relative to the project: pictures and other files, folders. */
function linkedFrom(source: string, pages: readonly string[]): string[] {
  return pages.flatMap((page) =>
    linksOf(readFileSync(path.join(source, page), 'utf8'))
      .filter((href) => !/^[a-z]+:|^#/.test(href))
      .map((href) => path.posix.join(path.posix.dirname(page), href.split('#')[0] ?? ''))
      .filter((file) => !file.endsWith('.md')),
  );
}

/** A linked folder without a README gets a page that lists its files. */
function listFolder(folder: string, name: string): string[] {
  const readme = path.join(folder, 'README.md');
  if (!statSync(folder).isDirectory() || existsSync(readme)) return [];
  const files = readdirSync(folder).toSorted();
  writeFileSync(readme, `# ${name}\n\n${files.map((file) => `- [${file}](${file})\n`).join('')}`);
  return files.map((file) => path.posix.join(name, file));
}

/** Writes the site to `out`, and replaces what was there. */
export async function buildSite(out: string = path.join(root, 'dist', 'docs')): Promise<void> {
  mkdirSync(path.dirname(out), { recursive: true });
  const source = mkdtempSync(`${out}-`);
  try {
    for (const name of [...folders, ...single])
      cpSync(path.join(root, name), path.join(source, name), { recursive: true });
    const linked = linkedFrom(source, pagesIn(source));
    const files = linked.flatMap((name) => [name, ...listFolder(path.join(source, name), name)]);
    const pages = pagesIn(source);
    await writePages(source, groupsOf(readFileSync(path.join(source, 'docs', 'README.md'), 'utf8')));
    const site = path.join(source, '_site');
    for (const file of files.filter((name) => statSync(path.join(source, name)).isFile())) {
      mkdirSync(path.dirname(path.join(site, file)), { recursive: true });
      cpSync(path.join(source, file), path.join(site, file));
    }
    cpSync(path.join(root, 'build', 'docs', 'site'), path.join(site, 'site'), { recursive: true });
    const library = path.join(root, 'node_modules', 'minisearch', 'dist', 'umd', 'index.js');
    cpSync(library, path.join(site, 'site', 'minisearch.js'));
    writeFileSync(path.join(site, 'site', 'index.js'), searchScript(source, pages));
    rmSync(out, { recursive: true, force: true });
    renameSync(site, out);
  } finally {
    rmSync(source, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  await buildSite();
  process.stdout.write('dist/docs is built: open dist/docs/index.html\n');
}
