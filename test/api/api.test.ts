import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import * as v from 'valibot';
import { type Broker, openBroker } from '../../src/broker/broker.ts';
import { MAX_BODY_BYTES } from '../../src/api/requests/request-parameters.ts';
import type { JsonObject } from '../../src/protocol/formats/data.ts';
import { envelopeSchema } from '../../src/protocol/messages/envelope.ts';
import { atEnd } from '../support/cleanup.ts';
import { tempDir } from '../support/temp.ts';

let broker: Broker;

before(async () => {
  const config = { guarded: { _access_key: ['old', 'new'] }, broken: {} };
  const modules = {
    guarded: { call: async () => ({ body: '"in"' }) },
    broken: {
      call: () => {
        throw new TypeError('secret detail');
      },
    },
  };
  broker = await openBroker({ file: `${tempDir()}/bpbroker.json`, config, modules });
  atEnd(() => broker.close());
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: JsonObject & { data: JsonObject; message: string };
}

async function send(path: string, init: RequestInit = {}): Promise<Answer> {
  const connection = { remoteAddress: '10.1.2.3', awaitBody: () => undefined, keepOpen: () => undefined };
  const response = await broker.app.request(path, init, { connection });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Answer['body'],
  };
}

const post = (path: string, params: unknown, headers: Record<string, string> = {}): Promise<Answer> =>
  send(path, {
    method: 'POST',
    body: typeof params === 'string' ? params : JSON.stringify(params),
    headers: { 'content-type': 'application/json', ...headers },
  });

describe('our JSON form', () => {
  it('answers a write with the entry, its stamps and its revision', async () => {
    const { status, body } = await post('/services/Register', {
      name: 'json',
      data: { key: 'special data' },
    });
    assert.equal(status, 200);
    v.parse(envelopeSchema, body);
    const { data, ...rest } = body;
    assert.deepEqual(rest, { success: true, message: 'Success', revision: broker.store.revision });
    assert.deepEqual(Object.keys(data), ['last_write_ts', 'last_write_ip', 'key']);
    assert.equal(data['last_write_ip'], '10.1.2.3');
    assert.ok(Math.abs(Number(data['last_write_ts']) - Date.now() / 1000) < 5);
  });

  it('carries a string as _str', async () => {
    await post('/services/Replace', { name: 'text', data: 'bar' });
    const { body } = await post('/services/Get', { name: 'text' });
    assert.equal(body.data['_str'], 'bar');
  });

  it('answers what the table says: 404, 409, 400, 413', async () => {
    const cases: readonly [number, string, string, unknown, RegExp][] = [
      [404, 'not_found', '/services/Get', { name: 'foo_no_exist' }, /^Entry 'foo_no_exist' not found$/],
      [
        409,
        'already_exists',
        '/services/Register',
        { name: 'json', data: 'x' },
        /^Entry 'json' already exists$/,
      ],
      [
        409,
        'revision_conflict',
        '/services/Replace',
        { name: 'json', data: 'x', if_revision: 999 },
        /is at revision \d+, not at revision 999/,
      ],
      [400, 'invalid_request', '/services/Get', {}, /Missing parameter 'name'/],
      [
        400,
        'invalid_request',
        '/services/Replace',
        { name: 'a', data: 'x', if_revison: 1 },
        /Unknown parameter 'if_revison'/,
      ],
      [400, 'invalid_request', '/services/Get', { name: '_access_key' }, /reserved/],
      [400, 'invalid_request', '/services/Register', { name: 'a' }, /Missing parameter 'data'/],
      [
        400,
        'invalid_request',
        '/services/Register',
        { name: 'a', data: 5 },
        /expected a JSON object or a string/,
      ],
      [
        400,
        'invalid_request',
        '/services/Register',
        { name: 'a', data: { last_write_ip: 'x' } },
        /last_write_ip/,
      ],
      [400, 'invalid_request', '/services/Register', '{"name": "a", "data": {"__proto__": {}}}', /__proto__/],
      [
        400,
        'invalid_request',
        '/services/Register',
        '{"name": "a", "data": {"n": 12345678901234567890}}',
        /12345678901234567890/,
      ],
      [400, 'invalid_request', '/services/Register', '{"name": ', /not valid JSON/],
      [400, 'invalid_request', '/services/Register', '[1]', /must be a JSON object/],
      [
        400,
        'invalid_request',
        '/services/Replace',
        { name: 'a', data: 'x', ttl: 'soon' },
        /'ttl'.*expected a duration/,
      ],
      [
        400,
        'invalid_request',
        '/services/Replace',
        { name: 'a', data: 'x', if_revision: -1 },
        /'if_revision': expected a whole number/,
      ],
      [
        413,
        'too_large',
        '/services/Register',
        { name: 'a', data: 'x'.repeat(1024 * 1024) },
        /at most 1048576 bytes/,
      ],
      [413, 'too_large', '/services/Register', 'x'.repeat(MAX_BODY_BYTES + 1), /too large/],
      [404, 'not_found', '/services/Nope', {}, /No method 'Nope'/],
      [404, 'not_found', '/services/constructor', {}, /No method/],
      [
        404,
        'module_not_found',
        '/ossec/AddAgent',
        {},
        /Module 'ossec' is not enabled; a top-level key 'ossec'/,
      ],
      [404, 'module_not_found', '/api/x', {}, /not enabled; it is a name of the broker's own/],
      [404, 'module_not_found', '/_config/x', {}, /not enabled; it is a name of the broker's own/],
    ];
    for (const [status, code, path, params, message] of cases) {
      const answer = await post(path, params);
      assert.equal(
        answer.status,
        status,
        `${path} ${JSON.stringify(params)?.slice(0, 60)}: ${JSON.stringify(answer.body).slice(0, 200)}`,
      );
      assert.equal(answer.body['code'], code);
      assert.equal(answer.body['success'], false);
      v.parse(envelopeSchema, answer.body);
      assert.match(answer.body.message, message);
    }
  });

  it('lets no update grow an entry past the limit of data', async () => {
    const part = 'x'.repeat(600_000);
    assert.equal((await post('/services/Update', { name: 'grows', data: { a: part } })).status, 200);
    const { status, body } = await post('/services/Update', { name: 'grows', data: { b: part } });
    assert.deepEqual([status, body['code']], [413, 'too_large']);
    assert.deepEqual(Object.keys((await broker.store.get('grows'))?.data ?? {}), ['a']);
  });

  it('asks for how many entries to wait when a list is to wait', async () => {
    assert.match((await post('/services/List', { wait: '5s' })).body.message, /'wait' needs 'wait_count'/);
  });

  it('refuses a body that is not UTF-8, or of a type it does not know', async () => {
    const headers = { 'content-type': 'application/json' };
    const invalid = await send('/services/Get', {
      method: 'POST',
      headers,
      body: new Uint8Array([0x7b, 0xff, 0x7d]),
    });
    assert.deepEqual([invalid.status, invalid.body.message], [400, 'The body is not valid UTF-8']);
    const plain = await post('/services/Get', '{"name": "json"}', { 'content-type': 'text/plain' });
    assert.equal(plain.status, 400);
    assert.match(plain.body.message, /Unsupported Content-Type 'text\/plain'/);
  });

  it('counts a chunked body as it comes, and stops at the limit', async () => {
    let sent = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent += 65_536;
        controller.enqueue(new Uint8Array(65_536).fill(0x20));
      },
    });
    const headers = { 'content-type': 'application/json' };
    const answer = await send('/services/Get', {
      method: 'POST',
      headers,
      body,
      duplex: 'half',
    });
    assert.equal(answer.status, 413);
    assert.ok(sent < MAX_BODY_BYTES * 1.5, `${sent} bytes were taken`);
  });

  it('row "errors": hides what an internal failure is about', async () => {
    const { status, body } = await post('/broken/X', {});
    assert.equal(status, 500);
    assert.doesNotMatch(JSON.stringify(body), /secret detail/);
  });

  it('answers other methods and paths with the envelope too', async () => {
    assert.equal((await send('/services/Get', { method: 'PUT' })).status, 405);
    const { status, body } = await send('/nowhere');
    assert.deepEqual([status, body['code']], [404, 'not_found']);
  });
});

describe("the original's forms", () => {
  it('take the query string, a trailing slash, and GET, POST and DELETE alike', async () => {
    const query = new URLSearchParams({ name: 'q', data: '{"a": 1}' }).toString();
    const registered = await send(`/services/Register/?${query}`, { method: 'POST' });
    assert.equal(registered.body['success'], true);
    assert.equal(registered.body.data['a'], 1);
    assert.equal((await send('/services/Get/?name=q')).body.data['a'], 1);
    assert.equal((await send('/services/Delete/?name=q', { method: 'DELETE' })).body['success'], true);
    assert.equal((await send('/services/Get/?name=q')).status, 404);
  });

  it('take a form body', async () => {
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = 'name=form+entry&data=b%C3%A4r%26';
    assert.equal(
      (await send('/services/Replace/', { method: 'POST', headers, body })).body.data['_str'],
      'bär&',
    );
    assert.equal((await send('/services/Get?name=form%20entry')).body.data['_str'], 'bär&');
  });

  it('take a parameter that is repeated as a list, and refuse it where one value is expected', async () => {
    await post('/services/Replace', { name: 'repeated', data: { a: 1, b: 2, c: 3 } });
    assert.equal((await send('/services/Update/?name=repeated&unset=a&unset=b')).status, 200);
    assert.deepEqual((await broker.store.get('repeated'))?.data, { c: 3 });
    const { status, body } = await send('/services/Delete/?name=none&name=repeated');
    assert.deepEqual([status, body['code']], [400, 'invalid_request']);
    for (const path of [
      'Get/?name=repeated&name=none',
      'Delete/?name=repeated&if_revision=0&if_revision=1',
      'Replace/?name=repeated&data=x&data=y',
      'Get/?name=repeated&access_key=x&access_key=x',
    ])
      assert.equal((await send(`/services/${path}`)).status, 400, path);
    assert.deepEqual((await broker.store.get('repeated'))?.data, { c: 3 });
  });

  it('answer a ping with the caller and what it sent', async () => {
    assert.deepEqual((await send('/ping/Ping/?data=foo')).body, {
      src: '10.1.2.3',
      data: { _str: 'foo' },
    } as never);
    assert.deepEqual((await send('/ping/Ping/?data=%7B%22a%22%3A1%7D')).body, {
      src: '10.1.2.3',
      data: { a: 1 },
    } as never);
  });

  it('take numbers, flags and durations as text', async () => {
    const { body } = await send('/services/Register/?name=ttl&data=x&ttl=30s&if_same=true');
    assert.equal(body['success'], true);
    assert.equal((await broker.store.get('ttl'))?.ttlMs, 30_000);
  });
});

describe('access keys', () => {
  it('let any key of a list pass, as Bearer or as access_key', async () => {
    for (const key of ['old', 'new']) {
      assert.equal((await post('/guarded/X', {}, { authorization: `Bearer ${key}` })).status, 200);
      assert.equal((await send(`/guarded/X/?access_key=${key}`)).status, 200);
      assert.equal((await post('/guarded/X', { access_key: key })).status, 200);
    }
  });

  it('row "key comparison": refuse a wrong key, one of another length, and none', async () => {
    for (const key of ['olx', 'o', 'old ', 'OLD', 'x'.repeat(10_000)]) {
      const { status, body, headers } = await post('/guarded/X', { access_key: key });
      assert.deepEqual([status, body['code']], [401, 'access_denied'], key);
      assert.equal(headers.get('www-authenticate'), 'Bearer');
      assert.equal(body.message, "Incorrect access key for module 'guarded'");
    }
    assert.match((await post('/guarded/X', {})).body.message, /asks for an access key, and none was given/);
  });
});

describe('a broker that stops', () => {
  it('answers waiting requests with 503, and may be asked to listen again after a port was taken', async () => {
    const one = await openBroker({
      file: `${tempDir()}/bpbroker.json`,
      config: { api: { listen_port: 0, listen_ip: '127.0.0.1' } },
    });
    const { port } = await one.listen();
    const api = { listen_port: port, listen_ip: '127.0.0.1' };
    const two = await openBroker({ file: `${tempDir()}/bpbroker.json`, config: { api } });
    await assert.rejects(two.listen(), { code: 'unavailable', message: /the port is taken/ });
    const waiting = one.app.request('/services/Get?name=never&wait=30s');
    await one.close();
    assert.equal((await waiting).status, 503);
    assert.equal((await two.listen()).port, port);
    await two.close();
  });
});

describe('health', () => {
  it('is shown by /healthz and /readyz', async () => {
    assert.deepEqual((await send('/healthz')).body, { status: 'ok' } as never);
    const { status, body } = await send('/readyz');
    assert.deepEqual([status, body['ready']], [200, true]);
  });
});
