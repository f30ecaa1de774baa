import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { runtime } from '#runtime';
import { createApi } from '../../src/api/api.ts';
import { createMeasures } from '../../src/api/metrics/measures.ts';
import { MAX_BODY_BYTES } from '../../src/api/requests/request-parameters.ts';
import { builtIn } from '../../src/modules/built-in.ts';
import { defineMethod, defineModule, type Module } from '../../src/modules/module.ts';
import { isSchema } from '../../src/modules/parameters.ts';
import { silentLogger } from '../../src/protocol/logger.ts';
import type { HttpServer } from '../../src/runtime/runtime.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { makeCertificate } from '../support/network/certificate.ts';
import { sendRaw } from '../support/network/raw.ts';

/**
 * A broker's own server goes past the router of its app. Two servers, one that does and one that does not,
 * get the same requests in the same order. Each has a connection of its own, and both must answer with the
 * same bytes.
 */

const anything = {
  '~standard': { version: 1, vendor: 'test', validate: (value: unknown) => ({ value }) },
} as const;
assert.ok(isSchema(anything));

/** Answers in every way that a module may. */
const own: Module = defineModule({
  Now: defineMethod({ params: anything, run: (params) => ({ body: JSON.stringify(params) }) }),
  Later: defineMethod({ params: anything, run: async () => ({ body: 'later', contentType: 'text/plain' }) }),
  Bytes: defineMethod({ params: anything, run: () => ({ status: 201, body: new Uint8Array([1, 2, 255]) }) }),
  Parts: defineMethod({
    params: anything,
    run: () => ({
      headers: { 'x-own': 'yes' },
      body: (async function* () {
        yield 'one, ';
        yield 'two';
      })(),
    }),
  }),
  Throws: defineMethod({
    params: anything,
    run: () => {
      throw new TypeError('secret detail');
    },
  }),
  Rejects: defineMethod({ params: anything, run: () => Promise.reject(new TypeError('secret detail')) }),
  Nothing: defineMethod({ params: anything, run: () => undefined as never }),
  Asks: defineMethod({
    params: anything,
    run: (_, { clientAddress, httpMethod, header }) => ({
      body: JSON.stringify([clientAddress, httpMethod, header('x-mine') ?? null, header('host') ?? null]),
    }),
  }),
});

interface Pair {
  readonly fast: HttpServer;
  readonly plain: HttpServer;
}

async function servePair(): Promise<Pair> {
  const certificate = await makeCertificate();
  const serve = (pastRouter: boolean): Promise<HttpServer> => {
    const registry = memoryStore();
    const { ping, services } = builtIn(registry);
    const { app, fetch } = createApi({
      config: {
        ping: {},
        services: {},
        guarded: { _access_key: 'secret' },
        own: {},
        absent: {},
        'pkg.mod': {},
      },
      registry,
      measures: createMeasures(),
      services,
      modules: new Map([
        ['ping', ping],
        ['services', services],
        ['guarded', own],
        ['own', own],
        ['pkg.mod', own],
      ]),
      readiness: () => ({ ready: true, checks: {}, warnings: [] }),
      closing: new AbortController().signal,
      log: silentLogger,
      identity: { id: 'id', instance: 'instance' },
      discovery: { exchange: () => undefined },
      shareHeaders: runtime.sharedHeaders,
    });
    return runtime.serve({
      hostname: '127.0.0.1',
      port: 0,
      cert: certificate.cert,
      key: certificate.key,
      maxBodyBytes: MAX_BODY_BYTES,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 30_000,
      fetch: pastRouter ? fetch : (request, connection) => app.fetch(request, { connection }),
    });
  };
  return { fast: await serve(true), plain: await serve(false) };
}

const head = (line: string, headers: string): string => `${line} HTTP/1.1\r\nHost: 127.0.0.1\r\n${headers}`;
const ask = (line: string, headers = ''): string => `${head(line, headers)}\r\n`;
function send(line: string, body: string, headers = 'Content-Type: application/json\r\n'): string {
  return `${head(line, headers)}Content-Length: ${Buffer.byteLength(body, 'latin1')}\r\n\r\n${body}`;
}
const bearer = (key: string): string => `Authorization: Bearer ${key}\r\n`;
const json = 'Content-Type: application/json\r\n';
const form = 'Content-Type: application/x-www-form-urlencoded\r\n';
const register = (params: object): string => send('POST /services/Register', JSON.stringify(params));

const requests: Readonly<Record<string, readonly string[]>> = {
  'every route': [
    ...['/', '/healthz', '/readyz', '/identity', '/discover', '/nothing', '/a/b/c'].flatMap((path) => [
      ask(`GET ${path}`),
      send(`POST ${path}`, ''),
      ask(`OPTIONS ${path}`),
    ]),
    ask('GET /ping/Ping?data=x'),
    send('POST /ping/Ping', '{"data":{"a":[1]}}'),
    ask('GET /ping/Ping'),
  ],
  'every method of the registry': [
    register({ name: 'a', data: 'text' }),
    register({ name: 'a', data: 'text' }),
    register({ name: 'a', data: 'text', if_same: true }),
    register({ name: 'o', data: { key: ['\u00e9', 1, null], deep: { er: true } } }),
    ask('GET /services/Get?name=a'),
    send('POST /services/Get', '{"name":"o"}'),
    ask('DELETE /services/Get?name=a'),
    ask('GET /services/Get?name=none'),
    ask('GET /services/Get?name=none&wait=100ms'),
    send('POST /services/Get', '{"name":"none","wait":"100ms"}'),
    send('POST /services/Replace', '{"name":"a","data":{"b":1},"if_revision":1}'),
    send('POST /services/Replace', '{"name":"a","data":{"b":1},"if_revision":1}'),
    send('POST /services/Update', '{"name":"a","data":{"c":2},"ttl":"1m"}'),
    send('POST /services/Renew', '{"name":"a"}'),
    send('POST /services/Renew', '{"name":"none"}'),
    ask('GET /services/List'),
    ask('GET /services/List?prefix=o&entries=false'),
    send('POST /services/List', '{"wait_count":2,"wait":"1s","limit":1}'),
    ask('GET /services/Watch?name=a&after=1'),
    ask('GET /services/Watch?name=a&prefix=b'),
    send('POST /services/Delete', '{"name":"a"}'),
    send('POST /services/Delete', '{"name":"a"}'),
    ask('GET /services/Get?name=a'),
  ],
  'paths that are not plain': [
    ...[
      '/services/Get/?name=o',
      '/services/Get/',
      '/services//Get?name=o',
      '//services/Get?name=o',
      '/services/Get//?name=o',
      '/services%2FGet?name=o',
      '/%73ervices/Get?name=o',
      '/services/G%65t?name=o',
      '/services/Get%00?name=o',
      '/services/%zz?name=o',
      '/services/Get%20?name=o',
      '/services/Get;x?name=o',
      '/services/Get#?name=o',
      '/services/Get?name=o#x',
      '/services/../services/Get?name=o',
      '/services/./Get?name=o',
      '/services\\Get?name=o',
      '/services/Get/more?name=o',
      '/pkg.mod/Now?a=1',
      '/pkg.mod/No.w?a=1',
      '/services/\u00c3\u00a9',
      '/services/',
      '/services',
      '/services?name=o',
      'https://127.0.0.1/services/Get?name=o',
      'http://elsewhere/services/Get?name=o',
      '*',
    ].map((path) => ask(`GET ${path}`)),
    ask('OPTIONS *'),
  ],
  'queries of every form': [
    'name=o&name=a',
    'name=a&name=o',
    'name',
    '',
    '=o',
    'name=o&',
    '&name=o',
    'n%61me=o',
    'name=%6f',
    'name=o%00',
    'name=%ff',
    'name=%EF%BF%BD',
    'name=a+b',
    'name=o&unknown=1',
    'unknown=1',
    '__proto__=o',
    'constructor=o&name=o',
    'name=_secret',
    'name=o?x',
    'name=o/../x',
    'access_key=x&name=o',
    'wait=1&name=o',
    'wait=never&name=o',
    `name=${'x'.repeat(513)}`,
  ].map((query) => ask(`GET /services/Get?${query}`)),
  'methods of HTTP': [
    ...['HEAD', 'PUT', 'PATCH', 'OPTIONS', 'TRACE', 'QUERY', 'get', 'Post', 'NONSENSE'].flatMap((method) => [
      ask(`${method} /services/Get?name=o`),
      ask(`${method} /healthz`),
    ]),
    ask('HEAD /own/Now?a=1'),
    ask('HEAD /own/Parts'),
    send('PUT /services/Replace', '{"name":"x","data":1}'),
    send('DELETE /services/Delete', '{"name":"none"}'),
    send('GET /services/Get', '{"name":"o"}'),
    send('GET /services/Get?name=none', '{"name":"o"}'),
    send('POST /services/Get?name=none', '{"name":"o"}'),
  ],
  'bodies of every form': [
    ...['', '{', '[]', 'null', '"x"', '{"name":1}', '{"name":"o","more":1}', '{"__proto__":1}', '{}'].map(
      (body) => send('POST /services/Get', body),
    ),
    send('POST /services/Get', '\xef\xbb\xbf{"name":"o"}'),
    send('POST /services/Get', '{"name":"\xff"}'),
    send('POST /services/Get', '{"name":"\xed\xa0\x80"}'),
    send('POST /services/Get', '{"name":"\xef\xbf\xbd"}'),
    send('POST /services/Get', '{"name":"\\ud800"}'),
    send('POST /own/Now', `{"n":12345678901234567890}`),
    send('POST /own/Now', `${'['.repeat(70)}${']'.repeat(70)}`),
    send('POST /own/Now', `{"a":${'['.repeat(70)}${']'.repeat(70)}}`),
    send('POST /services/Get', 'name=o', form),
    send('POST /services/Get', 'name=o&access_key=x', form),
    send('POST /services/Get', '{"name":"o"}', 'Content-Type: application/json; charset=utf-8\r\n'),
    send('POST /services/Get', '{"name":"o"}', 'Content-Type: text/plain\r\n'),
    send('POST /services/Get', '{"name":"o"}', ''),
    `${head('POST /services/Get', json)}Transfer-Encoding: chunked\r\n\r\n5\r\n{"nam\r\n7\r\ne":"o"}\r\n0\r\n\r\n`,
    `${head('POST /own/Now', json)}Content-Length: ${MAX_BODY_BYTES + 1}\r\n\r\n`,
    `${head('POST /own/Now', json)}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{"a":1}`,
    `${head('POST /own/Now', json)}Content-Length: x\r\n\r\n{}`,
    register({ name: 'big', data: 'x'.repeat(20_000) }),
    ask('GET /services/Get?name=big'),
  ],
  'pages of other sites': [
    ...['https://evil.example', 'null', 'https://127.0.0.1', 'https://localhost'].flatMap((origin) => [
      ask('GET /services/Get?name=o', `Origin: ${origin}\r\n`),
      send('POST /services/Get', '{"name":"o"}', `${json}Origin: ${origin}\r\n`),
      send('POST /services/Replace', '{"name":"o","data":"x"}', `${json}Origin: ${origin}\r\n`),
      ask('GET /services/Replace?name=o&data=x', `Origin: ${origin}\r\n`),
      ask('GET /guarded/Now', `Origin: ${origin}\r\n${bearer('secret')}`),
    ]),
    ...['cross-site', 'same-site', 'same-origin', 'none'].map((site) =>
      ask('GET /services/Replace?name=o&data=y', `Sec-Fetch-Site: ${site}\r\n`),
    ),
    ask('GET /services/Replace?name=o&data=y', 'Referer: https://evil.example/page\r\n'),
  ],
  hosts: [
    ...[
      '',
      'evil.example',
      'a b',
      'x/services/Get?',
      'x#',
      'u@x',
      '[::1]:1',
      '127.0.0.1:99999',
      '[',
      '%41',
    ].map((host) => `GET /services/Get?name=o HTTP/1.1\r\nHost: ${host}\r\n\r\n`),
    'GET /services/Get?name=o HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n',
    'GET /services/Get?name=o HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n',
    'GET /services/Get?name=o HTTP/1.1\r\n\r\n',
    'GET /services/Get?name=o HTTP/1.0\r\n\r\n',
    'GET /services/Get?name=o HTTP/1.0\r\nHost: a\r\n\r\n',
  ],
  'answers of every form': [
    ...[
      'Now',
      'Later',
      'Bytes',
      'Parts',
      'Throws',
      'Rejects',
      'Nothing',
      'Asks',
      '_private',
      'none',
      'toString',
    ].flatMap((method) => [
      ask(`GET /own/${method}?a=1`),
      send(`POST /own/${method}`, '{"a":1}'),
      send(`POST /own/${method}`, '{"a":1}', `${json}Accept: application/x-bpbroker-frames\r\nX-Mine: 1\r\n`),
    ]),
    ask('GET /absent/Now'),
    ask('GET /unknown/Now'),
    ask('GET /_global/Now'),
    ask('GET /constructor/toString'),
  ],
  // The last of these are past the limit of wrong keys.
  keys: [
    ask('GET /guarded/Now?a=1'),
    ask('GET /guarded/Now?a=1', bearer('secret')),
    ask('GET /guarded/Now?a=1&access_key=secret'),
    send('POST /guarded/Now', '{"access_key":"secret","a":1}'),
    ask('GET /guarded/_private', bearer('secret')),
    ask('GET /guarded/Now', `${bearer('secret')}${bearer('wrong')}`),
    ...Array.from({ length: 12 }, (_, i) => ask('GET /guarded/Now', bearer(`wrong${i}`))),
    ask('GET /guarded/Now?a=1', bearer('secret')),
    ask('GET /guarded/Now?access_key=secret'),
    ask('GET /own/Now?a=1', bearer('wrong')),
  ],
};

/** What a server answers, without what differs from one second to the next. */
async function answer({ port }: HttpServer, request: string): Promise<string> {
  const { text, closed } = await sendRaw(port, request, { responses: 1, silenceMs: 300, firstMs: 2000 });
  const timeless = text
    .replace(/^date: .*\r\n/im, '')
    .replaceAll(/"last_write_ts":\d+/g, '"last_write_ts":0')
    .replaceAll(/(x-request-id: |request=)[0-9a-f]{12}/g, '$1ID');
  const length = timeless.length - timeless.indexOf('\r\n\r\n') - 4;
  return `${timeless}\n[${length} bytes of body, ${closed ? 'closed' : 'open'}]`;
}

describe("a server's own way past the router", () => {
  let pair: Pair;
  before(async () => {
    pair = await servePair();
  });
  after(() => Promise.all([pair.fast.close(0), pair.plain.close(0)]));

  for (const [what, list] of Object.entries(requests)) {
    it(`answers with the same bytes: ${what}`, async () => {
      for (const request of list) {
        const plain = await answer(pair.plain, request);
        assert.equal(await answer(pair.fast, request), plain, request.slice(0, 200));
      }
    });
  }
});
