import assert from 'node:assert/strict';
import { afterEach, describe, it, mock } from 'node:test';
import { createApp } from '../../src/api/create-app.ts';
import type { Module, Reply } from '../../src/modules/module.ts';
import { type Logger, silentLogger } from '../../src/protocol/logger.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { UNREAD_TIMEOUT_MS } from '../../src/protocol/connection.ts';
import { waitFor } from '../support/wait.ts';

/** Answers in parts whose end fails. */
const stubborn: Module = {
  call: (method): Reply => ({
    status: method === 'Bare' ? 204 : 200,
    contentType: method === 'Unsendable' ? '\u0100' : 'text/plain',
    body: {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false, value: 'a part' }),
        return: () => Promise.reject(new Error('not to be ended')),
      }),
    },
  }),
};

describe('an answer that is not sent, and whose end fails', () => {
  it('ends no process by that, and is logged', async () => {
    const { log, warnings } = recordingLog();
    const app = createApp({ store: memoryStore(), modules: { stubborn }, config: { stubborn: {} }, log });
    // The test fails for a rejection that nobody takes, as any process of Node ends.
    assert.equal((await app.request('/stubborn/Bare')).status, 204);
    assert.equal((await app.request('/stubborn/Unsendable')).status, 500);
    await waitFor('the lines', () => warnings.length === 2);
    assert.deepEqual(warnings, [line, line]);
  });
});

describe('an answer that nobody reads, on a server that cannot drop connections', () => {
  afterEach(() => mock.timers.reset());

  /** Lets so much time pass. Timers that begin meanwhile count as well. */
  async function pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1000) {
      await new Promise((resolve) => setImmediate(resolve));
      mock.timers.tick(1000);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }

  it('ends after its time, and a stream of events leaves its place', async () => {
    const app = createApp({ store: memoryStore() });
    const streams = async (): Promise<string | undefined> =>
      /^bpbroker_event_streams (\d+)/m.exec(await (await app.request('/metrics')).text())?.[1];
    mock.timers.enable({ apis: ['setTimeout'] });
    const { body } = await app.request('/services/Watch');
    assert.equal(await streams(), '1');
    await pass(UNREAD_TIMEOUT_MS - 2000);
    assert.equal(await streams(), '1');
    await pass(4000);
    assert.equal(await streams(), '0');
    await assert.rejects(async () => body?.getReader().read(), /does not read the answer/);
  });

  it('whose end fails ends no process by that, and is logged', async () => {
    const { log, warnings } = recordingLog();
    const app = createApp({ store: memoryStore(), modules: { stubborn }, config: { stubborn: {} }, log });
    mock.timers.enable({ apis: ['setTimeout'] });
    assert.equal((await app.request('/stubborn/Unread')).status, 200);
    await pass(UNREAD_TIMEOUT_MS + 2000);
    assert.deepEqual(warnings, [line]);
  });
});

const line = ['an answer that was not sent could not be ended', { error: 'not to be ended' }];

function recordingLog(): { readonly log: Logger; readonly warnings: unknown[] } {
  const warnings: unknown[] = [];
  const warn: Logger['warn'] = (message, fields) => void warnings.push([message, fields]);
  return { warnings, log: { ...silentLogger, warn } };
}
