import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Hono } from 'hono';
import * as v from 'valibot';
import { createApp, type CreateAppOptions } from '../../../src/api/create-app.ts';
import { defineMethod, defineModule, jsonReply } from '../../../src/modules/module.ts';
import { BrokerError } from '../../../src/protocol/errors.ts';
import { memoryStore } from '../../../src/store/memory/memory-store.ts';
import { readExposition, type ScrapedSample, valueOf } from '../../support/registry/exposition.ts';
import { waitFor } from '../../support/wait.ts';

let endedStreams = 0;
const unread = (): AsyncIterable<string> => ({
  [Symbol.asyncIterator]: () => ({
    next: async () => ({ done: false, value: ': nothing\n\n' }),
    async return() {
      endedStreams++;
      return { done: true, value: undefined };
    },
  }),
});

const own = defineModule({
  Fail: defineMethod({ params: v.looseObject({}), run: () => jsonReply({}, 500) }),
  Odd: defineMethod({ params: v.looseObject({}), run: () => jsonReply({}, 299) }),
  Unsendable: defineMethod({
    params: v.looseObject({}),
    run: () => ({ ...jsonReply({}), headers: { x: 'a\nb' } }),
  }),
  UnsendableStream: defineMethod({
    params: v.looseObject({}),
    run: () => ({ body: unread(), contentType: 'text/event-stream', headers: { x: 'a\nb' } }),
  }),
});

function appWith(options: Partial<CreateAppOptions> = {}): Hono {
  return createApp({
    store: memoryStore(),
    config: { ping: {}, services: {}, 'very-secret': {} },
    modules: { 'very-secret': own },
    ...options,
  });
}

async function textOf(app: Hono): Promise<string> {
  const answer = await app.request('/metrics');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
  return await answer.text();
}

async function scrape(app: Hono): Promise<ScrapedSample[]> {
  return readExposition(await textOf(app));
}

const post = (app: Hono, path: string): Promise<Response> =>
  Promise.resolve(app.request(path, { method: 'POST' }));
const REQUESTS = 'bpbroker_http_requests_total';
const DURATION = 'bpbroker_http_request_duration_seconds';

describe('/metrics', () => {
  it('counts requests by route and class of status', async () => {
    const app = appWith();
    for (let i = 0; i < 3; i++) await post(app, `/services/Register?name=foo${i}&data=bar`);
    await post(app, '/services/Register?name=foo1&data=bar');
    await app.request('/services/Get?name=foo1');
    await app.request('/services/Get/?name=foo1');
    await app.request('/services/Get', { method: 'PUT' });
    await post(app, '/very-secret/Fail');
    await app.request('/healthz');
    const samples = await scrape(app);
    const count = (route: string, code: string): number | undefined =>
      valueOf(samples, REQUESTS, { route, code });
    assert.equal(count('/services/Register', '2xx'), 3);
    assert.equal(count('/services/Register', '4xx'), 1);
    assert.equal(count('/services/Get', '2xx'), 2);
    assert.equal(count('/services/Get', '4xx'), 1);
    assert.equal(count('/{module}/{method}', '5xx'), 1);
    assert.equal(count('/healthz', '2xx'), 1);
    assert.equal(valueOf(samples, `${DURATION}_count`, { route: '/services/Register', code: '2xx' }), 3);
    assert.equal(valueOf(samples, 'bpbroker_registry_entries'), 3);
    assert.equal(valueOf(samples, 'bpbroker_registry_revision'), 3);
    assert.equal(valueOf(samples, 'bpbroker_registry_writable'), 1);
    assert.equal(valueOf(samples, 'bpbroker_ready'), 1);
  });

  it('counts an answer that cannot be sent once, as what is sent in its place, and keeps nothing of it', async () => {
    const app = appWith();
    assert.equal((await post(app, '/very-secret/Unsendable')).status, 500);
    assert.equal((await post(app, '/very-secret/UnsendableStream')).status, 500);
    const samples = await scrape(app);
    const count = (code: string): number | undefined =>
      valueOf(samples, REQUESTS, { route: '/{module}/{method}', code });
    assert.deepEqual([count('2xx'), count('5xx')], [undefined, 2]);
    assert.equal(valueOf(samples, 'bpbroker_event_streams'), 0);
    await waitFor('the end of the stream', () => endedStreams === 1);
  });

  it('row "open pages": has as many series after any requests as it had after some', async () => {
    const app = appWith();
    const ask = async (i: string): Promise<void> => {
      await post(app, `/module${i}/Method`);
      await post(app, `/services/Method${i}`);
      await post(app, `/very-secret/Method${i}`);
      await app.request(`/path${i}`);
      await app.request(`/a/b/c${i}`);
      await app.request(`/services/Get?name=name${i}`);
    };
    await ask('first');
    const before = (await scrape(app)).length;
    for (let i = 0; i < 200; i++) await ask(String(i));
    // The second scrape tells of the first.
    const after = (await scrape(app)).filter(({ labels }) => labels['route'] !== '/metrics');
    assert.equal(after.length, before);
    assert.equal(valueOf(after, REQUESTS, { route: 'unknown' }), 402);
  });

  it('row "open pages": tells no name of an entry, no data, no address, and no module that is not built in', async () => {
    const app = appWith({ clientAddress: () => '192.0.2.77' });
    await post(app, '/services/Register?name=private-name&data=private-data');
    await post(app, '/very-secret/Fail');
    await post(app, '/very-secret/NotThere');
    const text = await textOf(app);
    for (const secret of ['private', 'very-secret', 'NotThere', '192.0.2.77'])
      assert.ok(!text.includes(secret), secret);
  });

  it('tells of waits while they last and after, apart from requests that are answered at once', async () => {
    const app = appWith();
    const met = post(app, '/services/Get?name=soon&wait=30s');
    const going = new AbortController();
    const gone = app.request(
      new Request('http://app.test/services/Get?name=never&wait=30s', { signal: going.signal }),
    );
    const waiting = async (): Promise<boolean> =>
      valueOf(await scrape(app), 'bpbroker_waiting_clients') === 2;
    let both = false;
    await waitFor('both to wait', () => {
      void waiting().then((is) => (both ||= is));
      return both;
    });
    await post(app, '/services/Register?name=soon&data=bar');
    assert.equal((await met).status, 200);
    going.abort();
    await gone;
    assert.equal((await app.request('/services/List?wait=100ms&wait_count=5')).status, 200);
    const samples = await scrape(app);
    assert.equal(valueOf(samples, 'bpbroker_waiting_clients'), 0);
    for (const outcome of ['met', 'gone', 'timeout'])
      assert.equal(valueOf(samples, 'bpbroker_wait_duration_seconds_count', { outcome }), 1, outcome);
    assert.ok((valueOf(samples, 'bpbroker_wait_duration_seconds_sum', { outcome: 'timeout' }) ?? 0) >= 0.099);
    assert.equal(valueOf(samples, REQUESTS, { route: '/services/Get', code: '2xx' }), 1);
    assert.equal(valueOf(samples, `${DURATION}_count`, { route: '/services/Get' }), undefined);
  });

  it('tells of those who wait to register an entry', async () => {
    const app = appWith();
    await post(app, '/services/Register?name=lock&data=one');
    const waiting = post(app, '/services/Register?name=lock&data=two&wait=30s');
    await waitFor(
      'it to wait',
      async () => valueOf(await scrape(app), 'bpbroker_waiting_clients') === 1,
      10_000,
    );
    await post(app, '/services/Delete?name=lock');
    assert.equal((await waiting).status, 200);
    const samples = await scrape(app);
    assert.equal(valueOf(samples, 'bpbroker_waiting_clients'), 0);
    assert.equal(valueOf(samples, 'bpbroker_wait_duration_seconds_count', { outcome: 'met' }), 1);
  });

  it('takes a registration that is refused for no wait', async () => {
    const mutate = (): Promise<never> => Promise.reject(new BrokerError('unavailable', 'no room'));
    const app = appWith({ store: { ...memoryStore(), mutate } });
    assert.equal((await post(app, '/services/Register?name=lock&data=one&wait=30s')).status, 503);
    const samples = await scrape(app);
    assert.equal(valueOf(samples, 'bpbroker_waiting_clients'), 0);
    for (const outcome of ['met', 'timeout', 'gone'])
      assert.equal(valueOf(samples, 'bpbroker_wait_duration_seconds_count', { outcome }), 0, outcome);
  });

  it('counts event streams for as long as they are open', async () => {
    const app = appWith();
    const watch = await app.request('/services/Watch');
    const reader = watch.body?.getReader();
    await reader?.read();
    assert.equal(valueOf(await scrape(app), 'bpbroker_event_streams'), 1);
    void reader?.cancel();
    const samples = await scrape(app);
    assert.equal(valueOf(samples, 'bpbroker_event_streams'), 0);
    assert.equal(valueOf(samples, REQUESTS, { route: '/services/Watch', code: '2xx' }), 1);
  });

  it('counts why access keys were refused', async () => {
    const app = appWith({ config: { services: { _access_key: 'right' } }, clientAddress: () => '192.0.2.1' });
    await post(app, '/services/List');
    for (let i = 0; i < 12; i++) await post(app, '/services/List?access_key=wrong');
    const samples = await scrape(app);
    const refusals = (reason: string): number | undefined =>
      valueOf(samples, 'bpbroker_access_key_refusals_total', { reason });
    assert.deepEqual([refusals('missing'), refusals('wrong'), refusals('limited')], [1, 10, 2]);
  });

  it('has buckets that only grow, up to the count', async () => {
    const app = appWith();
    for (let i = 0; i < 50; i++) await app.request('/ping/Ping');
    const samples = await scrape(app);
    const buckets = samples.filter(
      ({ name, labels }) => name === `${DURATION}_bucket` && labels['route'] === '/ping/Ping',
    );
    const values = buckets.map(({ value }) => value);
    assert.deepEqual(
      values,
      values.toSorted((a, b) => a - b),
    );
    assert.equal(values.at(-1), 50);
    assert.equal(buckets.at(-1)?.labels['le'], '+Inf');
  });
});

describe('the key of /metrics', () => {
  const ask = (app: Hono, headers: Record<string, string> = {}): Promise<Response> =>
    Promise.resolve(app.request('/metrics', { headers }));

  it('is asked for where there is one, and any of a list passes', async () => {
    const app = appWith({ metricsKey: ['old', 'new'] });
    assert.equal((await ask(app)).status, 401);
    assert.equal((await ask(app, { authorization: 'Bearer wrong' })).status, 401);
    assert.equal((await ask(app, { authorization: 'Bearer new' })).status, 200);
    assert.equal((await app.request('/metrics?access_key=new')).status, 401, 'not in a URL');
    assert.equal((await ask(appWith({ metricsKey: '' }))).status, 200);
  });

  it('guards /metrics alone', async () => {
    const app = appWith({ metricsKey: 'key' });
    assert.equal((await app.request('/readyz')).status, 200);
    assert.equal((await post(app, '/services/List')).status, 200);
    assert.equal((await post(app, '/_metrics/Get')).status, 404);
  });

  it('cannot be guessed: wrong ones count as those of modules', async () => {
    const app = appWith({ metricsKey: 'right', clientAddress: () => '192.0.2.1' });
    for (let i = 0; i < 10; i++) await ask(app, { authorization: `Bearer wrong${i}` });
    assert.equal((await ask(app, { authorization: 'Bearer right' })).status, 429);
  });

  it('is not asked of a web page of another site, which would use up the attempts of its readers', async () => {
    const page = { origin: 'https://other.test', 'sec-fetch-site': 'cross-site' };
    assert.equal((await ask(appWith({ metricsKey: 'right' }), page)).status, 403);
  });

  it('is refused where it was to come from somewhere and did not', () => {
    const none = { metricsKey: undefined } as unknown as Partial<CreateAppOptions>;
    assert.throws(() => appWith(none), /_metrics\._access_key: it is undefined/);
    assert.throws(() => appWith({ metricsKey: [] }), /an empty list holds no key/);
  });
});
