import { createHash } from 'node:crypto';
import { html, raw } from 'hono/html';
import type { HtmlEscapedString } from 'hono/utils/html';
import type { Reply } from '../../modules/module.ts';
import { VERSION } from '../../protocol/version.ts';
import type { Readiness } from '../readiness.ts';
import { SCRIPT, STYLE } from './assets.ts';

/** The facts on the page before any script has run. None is a secret. */
export interface StatusFacts {
  readonly readiness: Readiness;
  /** Facts of the broker by name, such as its fingerprint. */
  readonly about: Readonly<Record<string, string>>;
}

function sourceOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

/** Only the page's own script and style run, and they can reach only this server. */
const policy = [
  "default-src 'none'",
  `script-src ${sourceOf(SCRIPT)}`,
  `style-src ${sourceOf(STYLE)}`,
  "connect-src 'self'",
  'img-src data:',
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');

// Exactly the text whose digest is in the policy: a template could add white space.
const styleElement = raw(`<style>${STYLE}</style>`);
const scriptElement = raw(`<script type="module">${SCRIPT}</script>`);

/**
 * The status page of a broker (contract, section 5). It shows entries through the API, with its reader's
 * rights.
 */
export function statusPage(facts: StatusFacts): Reply {
  return {
    contentType: 'text/html; charset=utf-8',
    headers: { 'content-security-policy': policy },
    // It is not a promise, since no value of the template is one. It may be a `String` object, and becomes a
    // string here.
    body: (page(facts) as HtmlEscapedString).valueOf(),
  };
}

type Markup = ReturnType<typeof html>;

function page({ readiness, about }: StatusFacts): Markup {
  const { ready, checks } = readiness;
  const warned = Object.values(checks).some(({ warning }) => warning !== undefined);
  const kind = ready ? (warned ? 'warn' : 'good') : 'bad';
  const state = ready ? (warned ? 'Ready, with warnings' : 'Ready') : 'Not ready';
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>bpbroker</title>
        <link rel="icon" href="data:," />
        ${styleElement}
      </head>
      <body>
        <header>
          <h1>bpbroker</h1>
          <span class="pill" id="state" role="status" data-kind="${kind}">${state}</span>
          <p class="about">Version ${VERSION}</p>
        </header>
        <main>
          <div class="column">
            <section aria-labelledby="entries-title">
              <div class="head">
                <h2 id="entries-title">Entries</h2>
                <span class="count" id="count"></span>
                <p class="feed" id="feed" role="status"></p>
              </div>
              <noscript>
                <p>
                  The entries are shown by a script, and scripts are off here. On the command line:
                  <code>bpclient service list</code>
                </p>
              </noscript>
              <form id="key-form" hidden autocomplete="off">
                <label for="key">Access key of the module services</label>
                <input id="key" type="password" autocomplete="off" required />
                <p class="quiet">
                  The key stays in the memory of this page. It is gone when the page is closed.
                </p>
                <p class="buttons"><button class="primary">Show the entries</button></p>
              </form>
              <div id="registry" class="needs-script">
                <div class="tools">
                  <label for="filter">Filter</label>
                  <input id="filter" type="search" placeholder="A part of a name or of the data" />
                  <button id="register" type="button">Register an entry</button>
                </div>
                <div class="split">
                  <div id="tree" role="tree" aria-labelledby="entries-title"></div>
                  <div id="panel"></div>
                </div>
              </div>
            </section>
            <section class="needs-script" aria-labelledby="activity-title">
              <div class="head">
                <h2 id="activity-title">Activity</h2>
                <p class="feed" id="activity-note"></p>
              </div>
              <div class="plots" id="plots"></div>
            </section>
            <section class="needs-script" id="extensions" aria-labelledby="extensions-title" hidden>
              <div class="head">
                <h2 id="extensions-title">Extensions</h2>
                <p class="feed" id="extensions-note" role="status"></p>
              </div>
              <div id="modules"></div>
              <form id="extensions-form" hidden autocomplete="off">
                <label for="extensions-key">Access key of an extension</label>
                <input id="extensions-key" type="password" autocomplete="off" required />
                <button>Show its calls</button>
              </form>
            </section>
          </div>
          <div class="column">
            <section aria-labelledby="health-title">
              <div class="head"><h2 id="health-title">Health</h2></div>
              <ul class="list" id="checks">
                ${Object.entries(checks).map(([name, check]) => checkItem(name, check))}
              </ul>
            </section>
            <section aria-labelledby="about-title">
              <div class="head"><h2 id="about-title">Broker</h2></div>
              <dl class="facts">
                ${Object.entries(about).map(
                  ([name, value]) =>
                    html`<dt>${name}</dt>
                      <dd>${value}</dd>`,
                )}
              </dl>
              <dl class="facts needs-script" id="process"></dl>
              <div class="needs-script" id="cluster" hidden>
                <h3 id="cluster-title">Brokers of this registry</h3>
                <p class="quiet" id="cluster-note" role="status"></p>
                <ul class="list" id="brokers" aria-labelledby="cluster-title"></ul>
              </div>
            </section>
            <section class="needs-script" aria-labelledby="changes-title">
              <div class="head"><h2 id="changes-title">Recent changes</h2></div>
              <ul class="list" id="changes" tabindex="0" aria-labelledby="changes-title">
                <li class="quiet">Nothing has changed in the last minutes.</li>
              </ul>
            </section>
          </div>
        </main>
        <div id="toast" role="status"></div>
        <footer>
          <a href="readyz">readyz</a>, <a href="metrics">metrics</a> and
          <a href="openapi.json">openapi.json</a> are for programs.
        </footer>
        ${scriptElement}
      </body>
    </html>`;
}

function checkItem(name: string, { ok, reason, warning }: Readiness['checks'][string]): Markup {
  const kind = ok ? (warning === undefined ? 'good' : 'warn') : 'bad';
  const word = { good: 'ok', warn: 'warning', bad: 'failed' }[kind];
  const why = reason ?? warning;
  const text = why === undefined ? '' : html`<span class="why">${why}</span>`;
  return html`<li class="${kind}"><strong>${name}</strong><span class="word">${word}</span>${text}</li>`;
}
