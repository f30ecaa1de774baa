import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createApi } from '../../../src/api/api.ts';
import { createApp } from '../../../src/api/create-app.ts';
import { createMeasures } from '../../../src/api/metrics/measures.ts';
import type { ClusterBroker } from '../../../src/api/status.ts';
import { builtIn } from '../../../src/modules/built-in.ts';
import { errorDocs } from '../../../src/protocol/error-docs.ts';
import { BrokerError, errorCodes } from '../../../src/protocol/errors.ts';
import { silentLogger } from '../../../src/protocol/logger.ts';
import { memoryStore } from '../../../src/store/memory/memory-store.ts';
import { openApp } from '../../broker/support.ts';
import { anything, callOf, checkAnswer, fetchDocument, KEY, operationsOf } from './document.ts';

describe('/openapi.json', () => {
  it('has every path of the broker, and no other', async (t) => {
    const { broker } = await openApp({ config: { ossec: {} } });
    t.after(() => broker.close());
    const documented = operationsOf(await fetchDocument(broker.app)).map(
      ({ method, path }) => `${method} ${path}`,
    );
    const routes = new Set(broker.app.routes.map(({ method, path }) => `${method} ${path}`));
    // A page for people, the exchange of two programs (docs/protocol.md), and second forms of what is documented.
    const untold = [
      'GET /',
      'POST /discover',
      'POST /identity',
      'ALL /:module/:method',
      'ALL /:module/:method/',
    ];
    for (const one of untold) assert.ok(routes.delete(one), `there is no ${one}`);
    const own = documented.filter((one) => !/^POST \/(?:ping|services|\{module\})\//.test(one));
    assert.deepEqual(own.toSorted(), [...routes].toSorted());
  });

  it('tells what /status answers, with a key and without', async () => {
    const measures = createMeasures();
    const { ping, services } = builtIn(memoryStore(), measures.waits);
    const broker: ClusterBroker = {
      instance: '9f1c04a7b2e35d60',
      url: 'https://10.0.0.5:20443',
      host: 'node5',
      version: '1.0.0',
      since: '2026-01-31T11:00:00.000Z',
      self: true,
    };
    const { app } = createApi({
      config: { ping: {}, services: { _access_key: KEY }, ossec: { _access_key: KEY } },
      registry: memoryStore(),
      measures,
      services,
      modules: new Map(Object.entries({ ping, services, ossec: anything })),
      readiness: () => ({ ready: true, checks: {}, warnings: [] }),
      closing: new AbortController().signal,
      log: silentLogger,
      cluster: async () => ({ brokers: [broker], problem: 'etcd does not answer' }),
    });
    const all = operationsOf(await fetchDocument(app));
    const [call, status] = ['callExtension', 'status'].map((id) => all.find((one) => one.operationId === id));
    assert.ok(call && status?.isGuarded);
    assert.equal((await callOf(app, call)).status, 200);
    const answer = await callOf(app, status);
    const shown = (await answer.clone().json()) as { modules: { calls: unknown[] }[]; cluster: unknown };
    assert.equal(shown.modules[0]?.calls.length, 1);
    assert.ok(shown.cluster);
    await checkAnswer(status, answer);
    await checkAnswer(status, await app.request('/status'));
    const refused = await app.request('/status', { headers: { authorization: 'Bearer wrong' } });
    assert.equal(refused.status, 401);
    await checkAnswer(status, refused);
    const foreign = await app.request('/status', { headers: { origin: 'https://a.test' } });
    assert.equal(foreign.status, 403);
    await checkAnswer(status, foreign);
  });

  it('tells every error that a broker answers with, under its status', async () => {
    const { components } = (await fetchDocument(createApp({ store: memoryStore() }))) as {
      components: { responses: Record<string, { description: string }> };
    };
    const told = Object.entries(components.responses).flatMap(([name, { description }]) =>
      description.split('\n').map((line) => `${name.slice('Failure'.length)} ${line.split(':', 1)[0]}`),
    );
    const answered = errorCodes.filter((code) => errorDocs[code].isAnswered !== false);
    assert.ok(answered.length > 10);
    assert.deepEqual(
      told.toSorted(),
      answered.map((code) => `${new BrokerError(code, '').status} \`${code}\``).toSorted(),
    );
  });
});
