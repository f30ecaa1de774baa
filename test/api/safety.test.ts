import assert from 'node:assert/strict';
import { hostname } from 'node:os';
import { before, describe, it } from 'node:test';
import { createAccessKeys } from '../../src/api/access/access-keys.ts';
import { createStreamLimit } from '../../src/api/requests/stream-limit.ts';
import { atEnd } from '../support/cleanup.ts';
import { type Asked, openApp } from '../broker/support.ts';

/** Rows of the security page that the API keeps by itself, whatever serves it; `test/security` has those of the whole. */

const config = { guarded: { _access_key: 'new' }, echo: {} };
const echo = { call: (_: string, { params }: { params: object }) => ({ body: JSON.stringify(params) }) };

let asked: Asked;
const send: Asked['send'] = (...args) => asked.send(...args);
const post: Asked['post'] = (...args) => asked.post(...args);
before(async () => {
  asked = await openApp({ config, modules: { guarded: { call: () => ({ body: '"in"' }) }, echo } });
  atEnd(() => asked.broker.close());
});

describe('row "DNS rebinding, CSRF"', () => {
  const write = '/services/Replace/?name=csrf&data=x';
  const call = async (path: string, headers: Record<string, string>, method = 'GET'): Promise<number> =>
    (await send(path, { method, headers: { host: '10.0.0.1:20443', ...headers } })).status;

  it('refuses what a foreign page sends, by whatever method', async () => {
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { origin: 'http://10.0.0.1:20443' },
      { origin: 'https://10.0.0.1' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site', origin: 'https://10.0.0.1:20443' },
      // A name that was pointed at the broker: the page's origin and the Host agree.
      { origin: 'https://evil.example', host: 'evil.example' },
      { 'sec-fetch-site': 'same-origin', host: 'evil.example' },
      // A browser that knows no Sec-Fetch-Site, and leaves Origin out with a GET.
      { referer: 'https://evil.example/page?x' },
      { referer: 'http://10.0.0.1:20443/' },
      { referer: 'https://10.0.0.1/' },
      { referer: 'https://evil.example/', host: 'evil.example' },
      { referer: 'nonsense' },
    ];
    for (const headers of foreign) {
      for (const method of ['GET', 'POST', 'DELETE'])
        assert.equal(await call(write, headers, method), 403, JSON.stringify([method, headers]));
    }
    assert.equal(await asked.broker.store.get('csrf'), undefined);
    const { body } = await send(write, { headers: { origin: 'https://evil.example' } });
    assert.deepEqual(
      [body['code'], body['message']],
      ['forbidden', "A web page of 'https://evil.example' may not call this broker"],
    );
  });

  it("lets programs, proxies and the broker's own pages pass", async () => {
    const own: Record<string, string>[] = [
      {},
      { host: 'broker.example.com' },
      { origin: 'https://10.0.0.1:20443' },
      { origin: 'https://10.0.0.1:20443', 'sec-fetch-site': 'same-origin' },
      { origin: 'https://[fd00::1]:20443', host: '[fd00::1]:20443' },
      { origin: 'https://localhost', host: 'localhost' },
      { origin: `https://${hostname().toLowerCase()}:1`, host: `${hostname()}:1` },
      // Typed by a person.
      { 'sec-fetch-site': 'none', host: 'broker.example.com' },
      { referer: 'https://10.0.0.1:20443/' },
      { referer: 'https://10.0.0.1:20443/', 'sec-fetch-site': 'same-origin' },
    ];
    for (const headers of own) assert.equal(await call(write, headers), 200, JSON.stringify(headers));
  });

  it('refuses before it looks at the key, so that no page uses up the attempts of its reader', async () => {
    const headers = { origin: 'https://evil.example', authorization: 'Bearer wrong' };
    for (let i = 0; i < 20; i++)
      assert.equal((await send('/guarded/X', { headers }, '10.0.1.1')).status, 403);
    const right = { headers: { authorization: 'Bearer new' } };
    assert.equal((await send('/guarded/X', right, '10.0.1.1')).status, 200);
  });

  it('sends the headers that keep browsers from misusing an answer, with every one', async () => {
    await asked.broker.store.mutate('there', () => ({
      action: 'put',
      entry: { name: 'there', data: {}, lastWriteTs: 0, lastWriteIp: '' },
    }));
    const stopped = new AbortController();
    const all = ['/', '/healthz', '/readyz', '/nowhere', '/ping/Ping', '/services/Get?name=there'];
    all.push('/services/Get?name=nope', '/guarded/X', '/services/Nope', '/services/Watch');
    for (const path of all) {
      const { headers, body } = await asked.broker.app.request(path, { signal: stopped.signal });
      const seen = Object.fromEntries(headers);
      assert.equal(seen['x-content-type-options'], 'nosniff', path);
      assert.equal(seen['cache-control'], 'no-store', path);
      assert.equal(seen['referrer-policy'], 'no-referrer', path);
      const policy = seen['content-security-policy'] ?? '';
      // The page has a script and a style of its own: no others run, and it asks nobody else.
      const page =
        /^default-src 'none'; script-src 'sha256-[\w+/=]+'; style-src 'sha256-[\w+/=]+'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'$/;
      if (path === '/') assert.match(policy, page);
      else assert.equal(policy, "default-src 'none'; frame-ancestors 'none'", path);
      assert.equal(seen['x-frame-options'], 'DENY', path);
      assert.equal(seen['access-control-allow-origin'], undefined, path);
      assert.equal(seen['set-cookie'], undefined, path);
      await body?.cancel();
    }
    stopped.abort();
  });
});

describe('row "body"', () => {
  const nested = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;

  it('refuses JSON deeper than 64 with 400, in every module and every form', async () => {
    for (const path of ['/services/Replace', '/echo/X', '/ping/Ping']) {
      const name = path.startsWith('/services') ? '"name": "deep", ' : '';
      const body = (levels: number): string => `{${name}"data": ${nested(levels)}}`;
      assert.equal((await post(path, body(64))).status, 200, path);
      for (const levels of [65, 1000, 50_000]) {
        const { status, body: answer } = await post(path, body(levels));
        assert.deepEqual([status, answer['code']], [400, 'invalid_request'], `${path} ${levels}`);
      }
    }
    const lists = `{"data": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    for (const path of ['/echo/X', '/ping/Ping']) assert.equal((await post(path, lists)).status, 400);
    for (const path of ['/ping/Ping/', '/services/Replace/?name=x']) {
      const headers = { 'content-type': 'application/x-www-form-urlencoded' };
      assert.equal(
        (await post(path, new URLSearchParams({ data: nested(65) }).toString(), headers)).status,
        400,
        path,
      );
    }
  });

  it('refuses what is not UTF-8 with 400, in a body, a form and a query', async () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    const bytes = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d]);
    assert.equal((await post('/echo/X', bytes)).status, 400);
    assert.equal((await post('/echo/X', new Uint8Array([0x61, 0x3d, 0xc3]), form)).status, 400);
    for (const query of ['a=%ff', '%ff=a', 'a=%c3', 'a=%EF%BF%BD&b=%ff', 'a=%ff&a=x'])
      assert.equal((await send(`/echo/X?${query}`)).status, 400, query);
    for (const query of ['a=%EF%BF%BD', 'a=100%', 'a=%', 'a=%c3%a9&b=+'])
      assert.equal((await send(`/echo/X?${query}`)).status, 200, query);
  });
});

describe('row "prototype pollution"', () => {
  it('refuses __proto__, constructor and prototype as keys at any depth, in every module and form', async () => {
    for (const key of ['__proto__', 'constructor', 'prototype', '\\u005f_proto__']) {
      const polluted = `{"${key}": {"x": 1}}`;
      const bodies = [polluted, `{"data": ${polluted}}`, `{"data": {"a": [{"b": ${polluted}}]}}`];
      for (const path of ['/echo/X', '/ping/Ping', '/services/Update?name=p']) {
        for (const body of bodies) assert.equal((await post(path, body)).status, 400, `${path} ${body}`);
      }
      assert.equal(
        (await send(`/services/Update?${new URLSearchParams({ name: 'p', data: polluted }).toString()}`))
          .status,
        400,
      );
    }
    for (const query of ['__proto__=x', 'constructor=x&b=1']) {
      assert.equal((await send(`/echo/X?${query}`)).status, 400, query);
    }
    assert.equal(({} as { x?: unknown }).x, undefined);
  });
});

describe('row "terminals"', () => {
  it('every answer of JSON escapes DEL and U+0080 to U+009F, and is the same data', async () => {
    const nasty = 'a\u007fb\u009b31mc\u0085';
    const entries = {
      object: { [nasty]: nasty },
      text: nasty,
      // Long texts are made and shared in another way.
      long: nasty.repeat(1000),
    };
    for (const [name, data] of Object.entries(entries)) {
      for (const ttl of [undefined, '1h']) {
        const params = JSON.stringify({ name: `control/${name}${ttl ?? ''}`, data, ttl });
        assert.doesNotMatch((await post('/services/Replace/', params)).text, /[\u007f-\u009f]/);
      }
    }
    for (const name of Object.keys(entries)) {
      for (const ttl of ['', '1h']) {
        const { text, body } = await send(`/services/Get/?name=control/${name}${ttl}`);
        assert.match(text, /\\u009b31m/, name);
        assert.doesNotMatch(text, /[\u007f-\u009f]/, name);
        assert.ok(JSON.stringify(body).includes(nasty), name);
      }
    }
    for (const path of ['/services/List/?prefix=control/', `/ping/Ping/?data=${encodeURIComponent(nasty)}`]) {
      const { text } = await send(path);
      assert.match(text, /\\u009b31m/, path);
      assert.doesNotMatch(text, /[\u007f-\u009f]/, path);
    }
    const events = (await asked.open('/services/Watch/?prefix=control/&after=0')).body?.getReader();
    let seen = '';
    while (!seen.includes('control/long1h')) {
      const next = await events?.read();
      assert.ok(next?.value, `it ended after ${seen}`);
      seen += Buffer.from(next.value).toString();
    }
    await events?.cancel();
    assert.match(seen, /\\u009b31m/);
    assert.doesNotMatch(seen, /[\u007f-\u009f]/);
  });
});

describe('row "names"', () => {
  it('%2F is decoded once', async () => {
    await send('/services/Replace?name=a%2Fb&data=once');
    await send('/services/Replace?name=a%252Fb&data=twice');
    assert.deepEqual((await asked.broker.store.get('a/b'))?.data, { _str: 'once' });
    assert.deepEqual((await asked.broker.store.get('a%2Fb'))?.data, { _str: 'twice' });
    assert.equal((await send('/services%2FGet?name=a%2Fb')).status, 404);
    assert.equal((await send('/services/%47et?name=a%2Fb')).status, 200);
    assert.equal((await send('/services/%2547et?name=a%2Fb')).status, 404);
  });
});

describe('row "event streams"', () => {
  it('lets 64 stand for each key and 1,000 in all, and takes places back', () => {
    const limit = createStreamLimit({ perHolder: 64, overall: 1000 });
    const places: (() => void)[] = [];
    const refused = { code: 'too_many_requests', status: 429 };
    for (let key = 0; key < 16; key++) {
      const wanted = Math.min(64, 1000 - places.length);
      for (let i = 0; i < wanted; i++) places.push(limit.open(`key ${key}`));
      assert.throws(() => limit.open(`key ${key}`), refused);
    }
    assert.equal(limit.streams, 1000);
    assert.throws(() => limit.open('another'), { ...refused, message: /may be 1000/ });
    const [first] = places;
    first?.();
    first?.();
    assert.equal(limit.streams, 999);
    limit.open('another');
    for (const close of places) close();
    assert.equal(limit.streams, 1);
  });

  it('counts by key where a module asks for one, else by source', () => {
    const keys = createAccessKeys({ m: { _access_key: ['one', 'two'] }, open: {} });
    const of = (module: string, key: string, clientAddress: string): string =>
      keys.holderOf(module, () => key, { clientAddress }) ?? 'nobody';
    assert.equal(of('m', 'one', '10.0.0.1'), of('m', 'one', '10.0.0.2'));
    assert.notEqual(of('m', 'one', '10.0.0.1'), of('m', 'two', '10.0.0.1'));
    assert.equal(of('open', 'made up', '10.0.0.1'), of('open', 'another', '10.0.0.1'));
    assert.notEqual(of('open', '', '10.0.0.1'), of('open', '', '10.0.0.2'));
    assert.doesNotMatch(of('m', 'one', ''), /one/);
    // An address that is not told may be everybody's.
    assert.equal(of('m', 'one', ''), of('m', 'one', '10.0.0.1'));
    assert.equal(of('open', '', ''), 'nobody');
  });
});

describe('row "errors"', () => {
  it('other methods are answered 405 with those that are taken', async () => {
    for (const method of ['PUT', 'PATCH', 'OPTIONS', 'HEAD']) {
      const { status, headers } = await send('/services/Get', { method });
      assert.deepEqual([status, headers.get('allow')], [405, 'GET, POST, DELETE'], method);
    }
  });
});
