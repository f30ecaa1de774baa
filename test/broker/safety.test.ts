import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { hostname } from 'node:os';
import { after, before, describe, it } from 'node:test';
import { createAccessKeys } from '../../src/broker/access-keys.ts';
import { type Broker, openBroker } from '../../src/broker/broker.ts';
import { createFailureLimit } from '../../src/broker/rate-limit.ts';
import { createStreamLimit } from '../../src/broker/streams.ts';
import { hashAccessKey } from '../../src/config/access-key.ts';
import { mergeLayers } from '../../src/config/layers.ts';
import { networkOf } from '../../src/protocol/address.ts';
import type { JsonObject } from '../../src/protocol/data.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import type { Logger, LogFields } from '../../src/protocol/logger.ts';
import { tempDir } from '../support/temp.ts';

/** Rows of the security page that the API keeps by itself, whatever serves it; `test/security` has those of the whole. */

const hashed = 'the key behind a hash';
const config = {
  guarded: { _access_key: ['old', 'new', hashAccessKey(hashed)] },
  echo: {},
};
const logged: { message: string; fields: LogFields }[] = [];
const note = (message: string, fields: LogFields = {}): void => void logged.push({ message, fields });
const log: Logger = { debug: note, info: note, warn: note, error: note };
const echo = { call: (_: string, { params }: { params: object }) => ({ body: JSON.stringify(params) }) };

let broker: Broker;
before(async () => {
  const modules = { guarded: { call: () => ({ body: '"in"' }) }, echo };
  broker = await openBroker({ file: `${tempDir()}/bpbroker.json`, config, modules, log });
});
after(() => broker.close());

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: JsonObject;
}

let sources = 0;
/** An address that nothing has come from yet. */
const freshAddress = (): string => `10.9.${sources >> 8}.${sources++ & 255}`;

async function send(path: string, init: RequestInit = {}, remoteAddress = freshAddress()): Promise<Answer> {
  const nothing = (): void => undefined;
  const connection = { remoteAddress, awaitBody: nothing, keepOpen: nothing, drop: nothing };
  const response = await broker.app.request(path, init, { connection });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    body: text.startsWith('{') ? (JSON.parse(text) as JsonObject) : {},
  };
}

const post = (
  path: string,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string> = {},
): Promise<Answer> =>
  send(path, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });

describe('row "brute force"', () => {
  const withKey = (key: string, from: string): Promise<Answer> =>
    send('/guarded/X', { method: 'POST', headers: { authorization: `Bearer ${key}` } }, from);

  it('answers 429 with Retry-After after 10 wrong keys, to a right one too; other sources are unaffected', async () => {
    for (const key of Array.from({ length: 10 }, (_, i) => `wrong ${i}`))
      assert.equal((await withKey(key, '10.0.0.1')).status, 401);
    for (const key of ['wrong', 'new']) {
      const { status, headers, body } = await withKey(key, '10.0.0.1');
      assert.deepEqual([status, body['code']], [429, 'too_many_requests']);
      const seconds = Number(headers.get('retry-after'));
      assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60, String(seconds));
      assert.equal(
        body['message'],
        `Too many wrong access keys came from 10.0.0.1: try again in ${seconds} s`,
      );
    }
    assert.equal((await withKey('new', '10.0.0.2')).status, 200);
    assert.equal((await send('/ping/Ping', {}, '10.0.0.1')).status, 200, 'what needs no key goes on');
  });

  it('counts no missing key, and no right one', async () => {
    for (let i = 0; i < 30; i++) {
      assert.equal((await send('/guarded/X', {}, '10.0.0.3')).status, 401);
      assert.equal((await withKey('old', '10.0.0.3')).status, 200);
    }
  });

  it('is no way around by other addresses of one IPv6 network', async () => {
    for (let i = 0; i < 10; i++) await withKey('wrong', `2001:db8:0:7::${i}`);
    assert.equal((await withKey('new', '2001:db8:0:7:ffff::1')).status, 429);
    assert.equal((await withKey('new', '2001:db8:0:8::1')).status, 200);
  });

  it('says so in the log once for each source, and never the key', async () => {
    logged.length = 0;
    for (let i = 0; i < 15; i++) await withKey('canary-9d', '10.0.0.4');
    assert.equal(logged.filter(({ message }) => message === 'too many wrong access keys').length, 1);
    assert.ok(logged.length <= 11);
    assert.doesNotMatch(JSON.stringify(logged), /canary/);
  });

  it('ends a minute after the first of the ten', () => {
    const limit = createFailureLimit({ perSource: 10, windowMs: 60_000, maxSources: 100 });
    for (let i = 0; i < 10; i++) limit.fail('a', 1000 * i);
    assert.equal(limit.waitMs('a', 9000), 51_000);
    assert.equal(limit.waitMs('a', 59_999), 1);
    assert.equal(limit.waitMs('a', 60_000), 0);
    limit.fail('a', 60_000);
    assert.equal(limit.waitMs('a', 60_000), 1000);
  });

  it('takes bounded memory, however many sources are forged', () => {
    const limit = createFailureLimit({ perSource: 10, windowMs: 60_000, maxSources: 1000 });
    for (let i = 0; i < 200_000; i++) limit.fail(`source ${i}`, i / 1000);
    assert.equal(limit.sources, 1000);
    limit.fail('later', 120_000);
    assert.equal(limit.sources, 1, 'what no longer counts is forgotten');
  });

  it('counts addresses as networks', () => {
    const cases: Record<string, string> = {
      '10.0.0.1': '10.0.0.1',
      '2001:db8::1': '2001:db8:0:0::/64',
      '2001:DB8:0:0:1::': '2001:db8:0:0::/64',
      '2001:0db8:0001::5': '2001:db8:1:0::/64',
      '2001:db8:1:2:3:4:5:6': '2001:db8:1:2::/64',
      '::1': '0:0:0:0::/64',
      '64:ff9b::10.0.0.1': '64:ff9b:0:0::/64',
      'fe80::1%eth0': 'fe80:0:0:0::/64%eth0',
      'fe80::2%eth1': 'fe80:0:0:0::/64%eth1',
      '': '',
    };
    for (const [address, network] of Object.entries(cases)) assert.equal(networkOf(address), network);
  });
});

describe('access keys that are stored hashed', () => {
  it('let the key pass, and not the text of its hash', async () => {
    assert.equal((await send(`/guarded/X/?access_key=${encodeURIComponent(hashed)}`)).status, 200);
    assert.equal((await send(`/guarded/X/?access_key=${hashAccessKey(hashed)}`)).status, 401);
    const digest = createHash('sha256').update(hashed).digest('hex');
    for (const key of [digest, digest.toUpperCase(), `sha256:${digest.toUpperCase()}`])
      assert.equal((await send(`/guarded/X/?access_key=${key}`)).status, 401);
  });

  it('may be in upper case', () => {
    const upper = hashAccessKey('k').replace(/(?<=:).*/, (hex) => hex.toUpperCase());
    createAccessKeys({ m: { _access_key: upper } }).check('m', () => 'k', { clientAddress: '' });
  });

  it('are refused at the start where they are none', () => {
    for (const _access_key of ['sha256:', 'sha256:xyz', ['good', `sha256:${'0'.repeat(63)}`]]) {
      assert.throws(
        () => mergeLayers({ file: { ossec: { _access_key } } }, 'FILE'),
        (error: unknown) =>
          error instanceof BrokerError &&
          error.code === 'invalid_config' &&
          /^FILE: option ossec\._access_key.*expected 64 hex digits/.test(error.message) &&
          !error.message.includes('xyz'),
      );
    }
    mergeLayers({ file: { ossec: { _access_key: [hashAccessKey('x'), 'plain', ''] } } }, 'FILE');
  });
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
    ];
    for (const headers of foreign) {
      for (const method of ['GET', 'POST', 'DELETE'])
        assert.equal(await call(write, headers, method), 403, JSON.stringify([method, headers]));
    }
    assert.equal(await broker.store.get('csrf'), undefined);
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
    await broker.store.mutate('there', () => ({
      action: 'put',
      entry: { name: 'there', data: {}, lastWriteTs: 0, lastWriteIp: '' },
    }));
    const stopped = new AbortController();
    const all = ['/', '/healthz', '/readyz', '/nowhere', '/ping/Ping', '/services/Get?name=there'];
    all.push('/services/Get?name=nope', '/guarded/X', '/services/Nope', '/services/Watch');
    for (const path of all) {
      const { headers, body } = await broker.app.request(path, { signal: stopped.signal });
      const seen = Object.fromEntries(headers);
      assert.equal(seen['x-content-type-options'], 'nosniff', path);
      assert.equal(seen['cache-control'], 'no-store', path);
      assert.equal(seen['referrer-policy'], 'no-referrer', path);
      assert.equal(seen['content-security-policy'], "default-src 'none'; frame-ancestors 'none'", path);
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

describe('row "names"', () => {
  it('%2F is decoded once', async () => {
    await send('/services/Replace?name=a%2Fb&data=once');
    await send('/services/Replace?name=a%252Fb&data=twice');
    assert.deepEqual((await broker.store.get('a/b'))?.data, { _str: 'once' });
    assert.deepEqual((await broker.store.get('a%2Fb'))?.data, { _str: 'twice' });
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
      keys.holderOf(module, () => key, { clientAddress });
    assert.equal(of('m', 'one', '10.0.0.1'), of('m', 'one', '10.0.0.2'));
    assert.notEqual(of('m', 'one', '10.0.0.1'), of('m', 'two', '10.0.0.1'));
    assert.equal(of('open', 'made up', '10.0.0.1'), of('open', 'another', '10.0.0.1'));
    assert.notEqual(of('open', '', '10.0.0.1'), of('open', '', '10.0.0.2'));
    assert.doesNotMatch(of('m', 'one', ''), /one/);
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
