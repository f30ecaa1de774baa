import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import type { PastCall } from '../../src/api/module-calls.ts';
import type { Module } from '../../src/modules/module.ts';
import type { JsonObject } from '../../src/protocol/formats/data.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import { type Answer, type Asked, openApp } from '../broker/support.ts';
import { atEnd } from '../support/cleanup.ts';
import { waitFor } from '../support/wait.ts';

let letGo = (): void => undefined;
const held = new Promise<void>((resolve) => (letGo = resolve));
const module: Module = {
  async call(method) {
    if (method === 'Refuse') throw new BrokerError('already_exists', 'secret words');
    if (method === 'Throw') throw new TypeError('secret detail');
    if (method === 'Missing') return { status: 404, body: 'secret body' };
    if (method === 'Wait') await held;
    if (!['Parts', 'Break', 'Bodiless'].includes(method)) return { body: 'secret body' };
    return {
      status: method === 'Bodiless' ? 204 : 200,
      body: (async function* () {
        yield 'secret ';
        if (method === 'Break') throw new BrokerError('extension_failed', 'secret words');
        yield 'parts';
      })(),
    };
  },
};

const config = {
  services: { _access_key: 'registry' },
  open: {},
  ossec: { _access_key: ['ossec', 'older'] },
  backup: { _access_key: 'backup' },
};
interface Shown {
  readonly name: string;
  readonly running: number;
  readonly calls: readonly PastCall[];
}
let app: Asked;
before(async () => {
  app = await openApp({ config, modules: { open: module, ossec: module, backup: module } });
  atEnd(() => app.broker.close());
});

const bearer = (key: string): RequestInit => ({ headers: { authorization: `Bearer ${key}` } });
const read = (init: RequestInit = {}, from?: string, url = '/status'): Promise<Answer> =>
  app.send(url, init, from);
const modulesIn = ({ body }: { readonly body: JsonObject }): Shown[] => body['modules'] as unknown as Shown[];
const namesFor = async (init: RequestInit): Promise<unknown[]> => {
  const answer = await read(init);
  return [answer.status, modulesIn(answer).map(({ name }) => name), answer.body['hidden']];
};

describe('/status', () => {
  it('row "open pages": shows a module only to callers who may call it', async () => {
    assert.deepEqual(await namesFor({}), [200, ['open'], 2]);
    assert.deepEqual(await namesFor(bearer('registry')), [200, ['open'], 2]);
    for (const key of ['ossec', 'older'])
      assert.deepEqual(await namesFor(bearer(key)), [200, ['open', 'ossec'], 1]);
    assert.deepEqual(await namesFor(bearer('backup')), [200, ['open', 'backup'], 1]);
  });

  it('is read by the page of the broker, also over HTTP/2: its host is only in the URL there', async () => {
    const page = { headers: { 'sec-fetch-site': 'same-origin' } };
    for (const [url, status] of [
      ['https://localhost/status', 200],
      ['https://192.0.2.1:20443/status', 200],
      ['https://another.test/status', 403],
    ] as const)
      assert.equal((await read(page, undefined, url)).status, status, url);
  });

  it('counts a wrong key as one, and tells nothing to a source of too many, with a right one neither', async () => {
    const from = '10.8.0.1';
    for (let i = 0; i < 10; i++) assert.equal((await read(bearer('wrong'), from)).status, 401);
    for (const key of ['wrong', 'ossec', 'registry'])
      assert.equal((await read(bearer(key), from)).status, 429);
    for (let i = 0; i < 20; i++) assert.equal((await read(bearer('ossec'), '10.8.0.2')).status, 200);
  });

  it('names no module to a caller with a wrong key, nor does the log', async () => {
    const lines: string[] = [];
    const note = (...said: unknown[]): void => void lines.push(JSON.stringify(said));
    const logged = await openApp({
      config,
      modules: { open: module, ossec: module, backup: module },
      log: { debug: note, info: note, warn: note, error: note },
    });
    const before_ = lines.length;
    const { status, body } = await logged.send('/status', bearer('wrong'));
    assert.deepEqual([status, body['message']], [401, "Incorrect access key: it opens no extension's calls"]);
    const said = lines.slice(before_).filter((line) => line.includes('wrong access key'));
    assert.equal(said.length, 1);
    assert.match(said[0] ?? '', /"module":"_status"/);
    assert.doesNotMatch(lines.slice(before_).join(), /ossec|backup|services/);
    await logged.broker.close();
  });

  it('is not for pages of other sites', async () => {
    const { status } = await read({
      headers: { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' },
    });
    assert.equal(status, 403);
  });

  it('has what came of each call, the latest first, and nothing of what it carried', async () => {
    for (const method of ['Fine', 'Refuse', 'Throw', 'Missing', 'Parts', 'Bodiless', '_private'])
      await app.send(`/open/${method}?data=secret`, {}, '10.8.0.3');
    await app.send('/open/Break?data=secret', {}, '10.8.0.3').catch(() => undefined);
    const text = JSON.stringify((await read()).body);
    const [open] = modulesIn(await read());
    assert.deepEqual(
      open?.calls.map(({ method, outcome }) => [method, outcome]),
      [
        ['Break', 'extension_failed'],
        ['Bodiless', 'ok'],
        ['Parts', 'ok'],
        ['Missing', 'status 404'],
        ['Throw', 'internal'],
        ['Refuse', 'already_exists'],
        ['Fine', 'ok'],
      ],
    );
    const [{ at, source, seconds } = { at: '', source: '', seconds: -1 }] = open?.calls ?? [];
    assert.equal(source, '10.8.0.3');
    for (const call of open?.calls ?? []) assert.match(String(call.seconds), /^\d(\.\d{1,6})?$|^\de-\d$/);
    assert.ok(seconds >= 0 && Math.abs(Date.parse(at) - Date.now()) < 60_000);
    assert.doesNotMatch(text, /secret/);
  });

  it('reports how many calls run, and how many callers did not wait for the end', async () => {
    const waiting = app.send('/open/Wait', {}, '10.8.0.4');
    await waitFor('the call', async () => modulesIn(await read())[0]?.running === 1);
    letGo();
    await waiting;
    assert.deepEqual(
      [modulesIn(await read())[0]?.running, modulesIn(await read())[0]?.calls[0]?.method],
      [0, 'Wait'],
    );
    const connection = {
      remoteAddress: '10.8.0.5',
      awaitBody: () => undefined,
      keepOpen: () => undefined,
      answered: () => undefined,
      drop: () => undefined,
    };
    const response = await app.broker.app.request('/open/Parts', {}, { connection });
    await response.body?.cancel();
    assert.deepEqual(
      modulesIn(await read())[0]
        ?.calls.slice(0, 1)
        .map(({ source, outcome }) => [source, outcome]),
      [['10.8.0.5', 'gone']],
    );
  });

  it('keeps the last 20 of a module, with short names, and none of the built-in ones', async () => {
    for (let i = 0; i < 30; i++) await app.send(`/open/${'M'.repeat(500)}${i}`);
    const [open] = modulesIn(await read());
    assert.equal(open?.calls.length, 20);
    assert.ok(open.calls.every(({ method }) => method.length === 128));
    assert.ok(!modulesIn(await read(bearer('registry'))).some(({ name }) => name === 'services'));
  });
});
