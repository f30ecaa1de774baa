import { escape } from './render.ts';

export interface Entry {
  readonly title: string;
  /** From the root of the site. */
  readonly href: string;
}

/** A heading of the index and the pages below it. */
export interface Group {
  readonly title: string;
  readonly entries: readonly Entry[];
}

export interface PageParts {
  /** From the root of the site. */
  readonly path: string;
  readonly title: string;
  readonly body: string;
  readonly groups: readonly Group[];
}

/** A whole page. All its addresses are relative, so it works from a folder. */
export function renderPage({ path, title, body, groups }: PageParts): string {
  const up = '../'.repeat(path.split('/').length - 1);
  const entry = ({ title: name, href }: Entry): string => {
    const here = href === path ? ' aria-current="page"' : '';
    return `<li><a href="${up}${href}"${here}>${escape(name)}</a></li>`;
  };
  const navigation = groups.map(
    (group) =>
      `<p class="group">${escape(group.title)}</p>\n<ul>\n${group.entries.map(entry).join('\n')}\n</ul>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title === 'bpbroker' ? title : `${escape(title)} - bpbroker`}</title>
<link rel="stylesheet" href="${up}site/style.css">
</head>
<body>
<a class="skip" href="#content">Skip to the page</a>
<header>
<a class="home" href="${up}index.html">bpbroker</a>
<form role="search">
<label for="query">Search</label>
<input id="query" type="search" autocomplete="off" spellcheck="false">
</form>
</header>
<section id="found" aria-label="Results" hidden>
<p id="count" role="status"></p>
<ol id="results"></ol>
</section>
<div class="columns">
<nav aria-label="Pages">
${navigation.join('\n')}
</nav>
<main id="content" tabindex="-1">
${body}</main>
</div>
<script>window.siteRoot = '${up}';</script>
<script src="${up}site/minisearch.js"></script>
<script src="${up}site/index.js"></script>
<script src="${up}site/search.js"></script>
</body>
</html>
`;
}
