import assert from 'node:assert/strict';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { openBroker } from '../../src/broker/broker.ts';
import type { Module } from '../../src/modules/module.ts';
import type { LogFields, Logger } from '../../src/protocol/logger.ts';
import { type Asked, openApp } from '../broker/support.ts';
import { atEnd } from '../support/cleanup.ts';
import { extensionDir } from '../support/registry/extensions.ts';
import { tempDir } from '../support/temp.ts';

interface Line extends LogFields {
  readonly level: string;
  readonly message: string;
}

const lines: Line[] = [];
const writeAs =
  (level: string) =>
  (message: string, fields: LogFields = {}): void =>
    void lines.push({ ...fields, level, message });
const log: Logger = {
  debug: writeAs('debug'),
  info: writeAs('info'),
  warn: writeAs('warn'),
  error: writeAs('error'),
};

const talking: Module = {
  call(method, call) {
    if (method === 'Fail') throw new TypeError('secret detail');
    if (method === 'Say') call.log.info('said');
    return { body: '{}' };
  },
};

let app: Asked;
before(async () => {
  const config = { talking: {}, guarded: { _access_key: 'right' }, _metrics: { _access_key: 'right' } };
  app = await openApp({ config, modules: { talking }, log });
  atEnd(() => app.broker.close());
});

const lineWith = (message: string): LogFields => lines.findLast((line) => line.message === message) ?? {};
const made = /^[0-9a-f]{12}$/;

describe('the id of a request', () => {
  it('is the same in an answer that says internal, in its header and in the line that tells why', async () => {
    const { status, headers, body } = await app.send('/talking/Fail?secret=query');
    const id = headers.get('x-request-id') ?? '';
    assert.equal(status, 500);
    assert.match(id, made);
    assert.match(body['message'] as string, new RegExp(`request=${id}$`));
    const { request, path, error } = lineWith('request failed');
    assert.deepEqual([request, path], [id, '/talking/Fail']);
    assert.match(String(error), /secret detail/);
    assert.doesNotMatch(JSON.stringify(body), /secret/);
  });

  it('is that of the header X-Request-Id where it is short and plain, and no other', async () => {
    const idFor = async (given: string): Promise<string | null> =>
      (await app.send('/talking/Fail', { headers: { 'x-request-id': given } })).headers.get('x-request-id');
    for (const given of ['a', 'Root=1', 'a b', 'x'.repeat(64), 'x'.repeat(65), 'a:b_c.d-9', '"', 'é', ''])
      assert.equal((await idFor(given)) === given, /^(?:a|x{64}|a:b_c\.d-9)$/.test(given), given);
    assert.match((await idFor('x'.repeat(65))) ?? '', made);
  });

  it('is in every failure, whatever answers it, and differs from one to the next', async () => {
    const failures: readonly (readonly [string, RequestInit, number])[] = [
      ['/services/Get?name=none', {}, 404],
      ['/services/Get', { method: 'PUT' }, 405],
      ['/services/Get', { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } }, 400],
      ['/services/Get?nam=1', {}, 400],
      ['/guarded/Call', {}, 401],
      ['/none/Call', {}, 404],
      ['/none', {}, 404],
      ['/metrics', {}, 401],
    ];
    const ids = new Set<string>();
    for (const [path, init, expected] of failures) {
      const { status, headers } = await app.send(path, init);
      assert.equal(status, expected, path);
      assert.match(headers.get('x-request-id') ?? '', made, path);
      ids.add(headers.get('x-request-id') ?? '');
    }
    assert.equal(ids.size, failures.length);
  });

  it('is in the line about a wrong key, and in that about each refusal, which has no words of the request', async () => {
    const wrong = { headers: { authorization: 'Bearer wrong', 'x-request-id': 'mine' } };
    for (const path of ['/guarded/Call', '/metrics']) {
      await app.send(path, wrong);
      const { request, module } = lineWith('wrong access key');
      assert.deepEqual([request, module], ['mine', path === '/metrics' ? '_metrics' : 'guarded']);
    }
    await app.send('/services/Get?ttl=not-to-be-told', { headers: { 'x-request-id': 'next' } });
    const { level, request, path, code, ...others } = lineWith('request refused');
    assert.deepEqual([level, request, path, code], ['debug', 'next', '/services/Get', 'invalid_request']);
    assert.doesNotMatch(JSON.stringify(others), /not-to-be-told/);
  });

  it('comes with a success whose module has written to the log, and with no other', async () => {
    const said = await app.send('/talking/Say', { headers: { 'x-request-id': 'mine' } });
    assert.deepEqual([said.headers.get('x-request-id'), lineWith('said')['request']], ['mine', 'mine']);
    const silent = await app.send('/talking/Call', { headers: { 'x-request-id': 'mine' } });
    assert.deepEqual([silent.status, silent.headers.get('x-request-id')], [200, null]);
  });

  it('is in the lines that an extension makes', { skip: process.platform === 'win32' }, async () => {
    const extensions = extensionDir({
      'shell.sh': '#!/bin/sh\necho from the program >&2\n',
      'script.mjs': 'export function Log({ log }) { log.info("from the script"); console.log("printed"); }',
    });
    const file = join(tempDir(), 'bpbroker.json');
    const config = { shell: {}, script: {} };
    const broker = await openBroker({ file, config, extensionDir: extensions, log });
    const connection = {
      remoteAddress: '10.1.2.3',
      awaitBody: () => undefined,
      keepOpen: () => undefined,
      answered: () => undefined,
      drop: () => undefined,
    };
    for (const [called, id] of [
      ['shell/Run', 'one'],
      ['script/Log', 'two'],
    ] as const) {
      const init = { headers: { 'x-request-id': id } };
      const response = await broker.app.request(`/${called}`, init, { connection });
      assert.equal(response.status, 200, await response.text());
      // The answer of a program that takes long to start begins before its first line.
      if (called === 'script/Log') assert.equal(response.headers.get('x-request-id'), id);
    }
    await broker.close();
    const told = (text: string): unknown => lines.find((line) => line['text'] === text)?.['request'];
    assert.deepEqual(['from the program', 'from the script', 'printed'].map(told), ['one', 'two', 'two']);
  });
});
