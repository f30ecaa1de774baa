import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createApp } from '../../src/api/create-app.ts';
import type { Module, Reply } from '../../src/modules/module.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { waitFor } from '../support/wait.ts';

/** Answers in parts whose end fails. */
const stubborn: Module = {
  call: (method): Reply => ({
    status: method === 'Bare' ? 204 : 200,
    contentType: method === 'Unsendable' ? '\u0100' : 'text/plain',
    body: {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: true, value: undefined }),
        return: () => Promise.reject(new Error('not to be ended')),
      }),
    },
  }),
};

describe('an answer that is not sent, and whose end fails', () => {
  it('ends no process by that, and is logged', async () => {
    const warnings: unknown[] = [];
    const silent = (): void => undefined;
    const log = {
      debug: silent,
      info: silent,
      error: silent,
      warn: (message: string, fields?: object) => void warnings.push([message, fields]),
    };
    const app = createApp({ store: memoryStore(), modules: { stubborn }, config: { stubborn: {} }, log });
    // The test fails for a rejection that nobody takes, as any process of Node ends.
    assert.equal((await app.request('/stubborn/Bare')).status, 204);
    assert.equal((await app.request('/stubborn/Unsendable')).status, 500);
    await waitFor('the lines', () => warnings.length === 2);
    const line = ['an answer that was not sent could not be ended', { error: 'not to be ended' }];
    assert.deepEqual(warnings, [line, line]);
  });
});
