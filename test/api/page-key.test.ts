import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { serve } from '@hono/node-server';
import type { AuditRecord } from '../../src/api/audit/record.ts';
import { createApp } from '../../src/api/create-app.ts';
import { type BrokerApi, createBrokerApi } from '../../src/page/api/broker-api.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { atEnd } from '../support/cleanup.ts';

/** The calls of a page whose broker answers by `fetch`. */
async function apiOf(fetch: Parameters<typeof serve>[0]['fetch']): Promise<BrokerApi> {
  const server = serve({ fetch, hostname: '127.0.0.1', port: 0 });
  atEnd(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return createBrokerApi(`http://127.0.0.1:${port}/`, () => 0);
}

describe('the key that was given to the status page', () => {
  it('is not presented again once it was refused, however often the page asks', async () => {
    const wrong: unknown[] = [];
    const silent = (): void => undefined;
    const info = (message: string): void => void (message === 'wrong access key' && wrong.push(message));
    const log = { debug: silent, info, warn: silent, error: silent };
    const appWith = (key: string): ReturnType<typeof createApp> =>
      createApp({ store: memoryStore(), config: { services: { _access_key: key } }, log });
    let app = appWith('old');
    const api = await apiOf((...args) => app.fetch(...args));
    api.setKey('old');
    await api.status(true);
    assert.equal((await api.list({})).count, 0);
    app = appWith('new');
    await assert.rejects(api.status(true), { status: 401 });
    for (let i = 0; i < 20; i++) {
      await api.status(true);
      await assert.rejects(api.get('a'), { status: 401 });
    }
    assert.equal(wrong.length, 1);
    api.setKey('new');
    assert.equal((await api.list({})).count, 0);
  });
});

describe('a guarded /metrics', () => {
  it('is asked for once by the status page, which has no key for it', async () => {
    const records: AuditRecord[] = [];
    const audit = (record: AuditRecord): void => void records.push(record);
    const app = createApp({ store: memoryStore(), metricsKey: 'of the metrics', audit });
    const api = await apiOf((...args) => app.fetch(...args));
    for (let i = 0; i < 5; i++) await assert.rejects(api.text('metrics'), { status: 401 });
    assert.deepEqual(
      records.map(({ event, module }) => [event, module]),
      [['refusal', '_metrics']],
    );
  });
});
