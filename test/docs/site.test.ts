import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { buildSite } from '../../build/docs/site.ts';
import { allPages } from '../support/documents/prose.ts';
import { tempDir } from '../support/temp.ts';
import { lacking } from '../support/programs/tools.ts';

/** The site is used as users have it: a folder, opened by a browser without any server. */

const site = path.join(tempDir(), 'site');
before(() => buildSite(site));

const pages = (): string[] =>
  readdirSync(site, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.html'));

function brokenIn(page: string): string[] {
  const html = readFileSync(path.join(site, page), 'utf8');
  return [...html.matchAll(/ (?:href|src)="([^"]*)"/g)]
    .map(([, href = '']) => href)
    .filter((href) => !/^[a-z]+:/.test(href))
    .flatMap((href) => {
      const [file = '', anchor = ''] = href.split('#');
      const target = file === '' ? path.join(site, page) : path.join(site, path.dirname(page), file);
      if (file.startsWith('/') || !existsSync(target)) return [`${page}: ${href}`];
      const isThere = anchor === '' || readFileSync(target, 'utf8').includes(` id="${anchor}"`);
      return isThere ? [] : [`${page}: ${href}`];
    });
}

describe('the site of the documentation', () => {
  it('has a page for each one of the sources', () => {
    const sources = pages().map((name) =>
      name.replace(/index\.html$/, 'README.md').replace(/\.html$/, '.md'),
    );
    const made = new Set(sources);
    assert.deepEqual(
      allPages().filter((page) => !made.has(page)),
      [],
    );
  });

  it('has links that lead to files and headings that exist', () => {
    assert.ok(pages().length > 40);
    assert.deepEqual(pages().flatMap(brokenIn), []);
  });

  it('keeps commands as they are typed, and shows no mark of the tests', () => {
    const html = readFileSync(path.join(site, 'index.html'), 'utf8');
    assert.ok(html.includes('bpbroker start --detach &amp;&amp;'));
    assert.ok(!html.includes('not run:'));
  });
});

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string }[];
}

describe('the site in a browser, from a folder', { skip: lacking('chromium') }, () => {
  let browser: Browser;
  const requested: string[] = [];
  const complaints: string[] = [];

  before(async () => {
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
  });
  after(() => browser.close());

  async function open(name: string, colorScheme: 'light' | 'dark' = 'light'): Promise<Page> {
    const page = await browser.newPage({ colorScheme });
    page.setDefaultTimeout(20_000);
    page.on('request', (request) => requested.push(request.url()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    await page.goto(pathToFileURL(path.join(site, name)).href);
    return page;
  }

  it('finds a heading by a search, and leads to it', async () => {
    const page = await open('docs/how-to/windows.html');
    await page.getByLabel('Search').fill('certific rotate');
    const results = page.locator('#results a');
    await results.first().waitFor();
    const hrefs = await results.evaluateAll((links) => links.map((link) => link.getAttribute('href')));
    assert.ok(hrefs.includes('../../docs/how-to/rotate-keys.html#the-certificate'), hrefs.join('\n'));
    await page.locator('#results a[href$="rotate-keys.html#the-certificate"]').click();
    await page.locator('h1', { hasText: 'Rotate keys' }).waitFor();
    assert.match(page.url(), /^file:.*\/docs\/how-to\/rotate-keys\.html#the-certificate$/);
    await page.close();
  });

  it('says that nothing is found', async () => {
    const page = await open('index.html');
    await page.getByLabel('Search').fill('xyzzyplugh');
    await page.getByText('Nothing found').waitFor();
    assert.equal(await page.locator('#results a').count(), 0);
    await page.close();
  });

  it('breaks no name in a table on a phone: the table can be scrolled, and the page is no wider than the screen', async () => {
    for (const name of ['docs/audit.html', 'docs/monitoring.html', 'docs/cli.html']) {
      const page = await open(name);
      await page.setViewportSize({ width: 390, height: 800 });
      const broken: string[] = await page.evaluate(
        `[...document.querySelectorAll('td code')]
          .filter((code) => /^[\\w.]+$/.test(code.textContent) && code.getClientRects().length > 1)
          .map((code) => code.textContent)`,
      );
      assert.deepEqual(broken, [], name);
      assert.equal(await page.evaluate('document.documentElement.scrollWidth > innerWidth'), false, name);
      await page.close();
    }
  });

  for (const scheme of ['light', 'dark'] as const) {
    for (const name of [
      'index.html',
      'docs/index.html',
      'docs/tutorial.html',
      'docs/cli.html',
      'docs/decisions/index.html',
      'docs/security.html',
    ]) {
      it(`has nothing that axe-core finds amiss on ${name}, ${scheme}`, async () => {
        const page = await open(name, scheme);
        await page.getByLabel('Search').fill('lock');
        await page.evaluate(axe);
        const found: Violation[] = await page.evaluate(
          "axe.run(document, { resultTypes: ['violations'], preload: false }).then(({ violations }) => violations)",
        );
        assert.deepEqual(
          found.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html}`)),
          [],
        );
        await page.close();
      });
    }
  }

  it('asks nothing but the folder, and complains of nothing', () => {
    assert.deepEqual(
      requested.filter((url) => !url.startsWith('file:')),
      [],
    );
    assert.deepEqual(complaints, []);
  });
});
