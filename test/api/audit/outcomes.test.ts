import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type AuditSink, createAudit } from '../../../src/api/audit/audit.ts';
import { refusalLimits } from '../../../src/api/audit/refusals.ts';
import type { AuditRecord } from '../../../src/api/audit/record.ts';
import type { PastCall } from '../../../src/api/module-calls.ts';
import { createApp } from '../../../src/api/create-app.ts';
import type { Call, Module, Reply } from '../../../src/modules/module.ts';
import { UNREAD_TIMEOUT_MS } from '../../../src/protocol/connection.ts';
import { BrokerError } from '../../../src/protocol/errors.ts';
import { memoryStore } from '../../../src/store/memory/memory-store.ts';
import { waitFor } from '../../support/wait.ts';

const bare: Module = {
  call(method): Reply {
    if (method === 'None') return undefined as unknown as Reply;
    const body = (async function* () {
      yield 'unsent';
    })();
    return { status: 204, body };
  },
};

describe('what became of a call, in the audit trail,', () => {
  it('learns of an answer that is sent without its body, and of one that is none', async () => {
    const records: AuditRecord[] = [];
    const app = createApp({
      store: memoryStore(),
      config: { bare: {} },
      modules: { bare },
      audit: (record) => void records.push(record),
    });
    assert.equal((await app.request('/bare/Empty')).status, 204);
    assert.equal((await app.request('/bare/None')).status, 500);
    assert.deepEqual(
      records.map(({ method, outcome, status }) => [method, outcome, status]),
      [
        ['Empty', 'begun', undefined],
        ['Empty', 'ok', 204],
        ['None', 'begun', undefined],
        ['None', 'internal', 500],
      ],
    );
  });

  it('learns of an answer that came whole after its caller had gone; not of one while the broker stops, nor of a write', async () => {
    const records: AuditRecord[] = [];
    const left = new AbortController();
    const closing = new AbortController();
    const late: Module = {
      async call(method, { registry }): Promise<Reply> {
        if (method === 'Write') await registry.replace('late', 'x');
        left.abort();
        if (method === 'Stop') closing.abort();
        return { status: 404, body: 'unread' };
      },
    };
    const app = createApp({
      store: memoryStore(),
      config: { late: {}, services: {} },
      modules: { late },
      audit: (record) => void records.push(record),
      signal: closing.signal,
    });
    await app.request('/services/Replace?name=own&data=x', { signal: AbortSignal.abort() });
    await app.request('/late/Write', { signal: left.signal });
    await app.request('/late/Stop', { signal: left.signal });
    assert.deepEqual(
      records.map(({ method, outcome, status }) => [method, outcome, status]),
      [
        ['Replace', 'ok', undefined],
        ['Write', 'begun', undefined],
        ['Replace', 'ok', undefined],
        ['Write', 'gone', 404],
        ['Stop', 'begun', undefined],
        ['Stop', 'ok', 404],
      ],
    );
    assert.deepEqual(
      (
        await ((await app.request('/status')).json() as Promise<{ modules: { calls: PastCall[] }[] }>)
      ).modules[0]?.calls.map(({ method, outcome }) => [method, outcome]),
      [
        ['Stop', 'status 404'],
        ['Write', 'gone'],
      ],
    );
  });

  it('learns of an answer in parts that nobody reads, since its caller had gone before it began', async () => {
    const records: AuditRecord[] = [];
    const left = new AbortController();
    let ends = 0;
    const late: Module = {
      call(): Promise<Reply> {
        left.abort();
        const parts: AsyncIterator<string> = {
          next: () => Promise.resolve({ done: false, value: 'a part' }),
          return() {
            ends += 1;
            return Promise.resolve({ done: true, value: undefined });
          },
        };
        return Promise.resolve({
          contentType: 'text/event-stream',
          body: { [Symbol.asyncIterator]: () => parts },
        });
      },
    };
    const app = createApp({
      store: memoryStore(),
      config: { late: {} },
      modules: { late },
      audit: (record) => void records.push(record),
    });
    // The response is neither read nor cancelled, as on a server whose caller has gone.
    await app.request('/late/Parts', { signal: left.signal });
    // It ends before the limit of an unread answer, which a server that drops connections never reaches.
    await waitFor('the end of the call', () => records.length === 2, UNREAD_TIMEOUT_MS / 3);
    assert.equal(ends, 1);
    assert.deepEqual(
      records.map(({ outcome }) => outcome),
      ['begun', 'gone'],
    );
    const { modules } = (await (await app.request('/status')).json()) as { modules: { running: number }[] };
    assert.equal(modules[0]?.running, 0);
    assert.match(await (await app.request('/metrics')).text(), /^bpbroker_event_streams 0$/m);
  });

  it('has the time of each line, which for a registration that waited is not the time of its asking', async () => {
    const records: AuditRecord[] = [];
    const app = createApp({ store: memoryStore(), audit: (record) => void records.push(record) });
    await app.request('/services/Register?name=lock&data=a');
    const waiting = app.request('/services/Register?name=lock&data=b&wait=30s');
    const since = Date.now();
    await waitFor('it to wait for some time', async () => {
      const metrics = await (await app.request('/metrics')).text();
      return /^bpbroker_waiting_clients 1$/m.test(metrics) && Date.now() > since + 2;
    });
    await app.request('/services/Delete?name=lock');
    await waiting;
    const [, deleted, registered] = records;
    assert.deepEqual([deleted?.method, registered?.method], ['Delete', 'Register']);
    assert.ok((registered?.time ?? '') >= (deleted?.time ?? 'none'), `${registered?.time} ${deleted?.time}`);
  });

  it('has a line of its own for each write that may have been done, however many fail', async () => {
    const records: AuditRecord[] = [];
    const mutate = (): Promise<never> =>
      Promise.reject(new BrokerError('outcome_unknown', 'it may be there'));
    const app = createApp({
      store: { ...memoryStore(), mutate },
      audit: (record) => void records.push(record),
    });
    const names = Array.from({ length: refusalLimits.perSource + 5 }, (_, i) => `n${i}`);
    for (const name of names)
      assert.equal((await app.request(`/services/Replace?name=${name}&data=x`)).status, 503);
    assert.deepEqual(
      records.map(({ entry, outcome }) => [entry, outcome]),
      names.map((name) => [name, 'outcome_unknown']),
    );
  });

  it('ends what a required trail could not say the beginning of: its line may be written later yet', async () => {
    const records: AuditRecord[] = [];
    const sink: AuditSink = {
      isOn: true,
      withData: false,
      isRequired: true,
      problem: () => (records.length === 0 ? undefined : 'no room'),
      write(record) {
        records.push(record);
        return Promise.resolve(false);
      },
    };
    const call = { params: {}, clientAddress: '192.0.2.1', requestId: 'r' } as unknown as Call;
    const run = (): Reply => assert.fail('it was run');
    await assert.rejects(
      async () => createAudit(sink).execute('work', 'Do', call, run),
      /Nothing was done: no room/,
    );
    assert.deepEqual(
      records.map(({ call: number, outcome, status }) => [number, outcome, status]),
      [
        [1, 'begun', undefined],
        [1, 'unavailable', 503],
      ],
    );
  });
});
