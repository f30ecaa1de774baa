import { runtime } from '#runtime';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createApp } from '../../src/api/create-app.ts';
import type { Module, Reply } from '../../src/modules/module.ts';
import { MAX_BODY_BYTES } from '../../src/api/requests/request-parameters.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { makeCertificate } from '../support/network/certificate.ts';
import { sendRaw } from '../support/network/raw.ts';

let ended = 0;
/** Returns a status that goes without a body, and a body all the same. */
const bare: Module = {
  call(method, { params }): Reply {
    const parts = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false, value: 'unsent' } as const),
        return: () => Promise.resolve({ done: true, value: void (ended += 1) } as const),
      }),
    };
    const body = method === 'Parts' ? parts : method === 'Empty' ? '' : 'unsent';
    return { status: Number(params['status']), headers: { 'x-own': 'yes' }, body };
  },
};

describe('an answer whose status goes without a body', () => {
  it('is sent so, with the headers that the module gave, and the connection goes on', async () => {
    const app = createApp({ store: memoryStore(), modules: { bare }, config: { bare: {} } });
    const { cert, key } = await makeCertificate();
    const server = await runtime.serve({
      hostname: '127.0.0.1',
      port: 0,
      cert,
      key,
      maxBodyBytes: MAX_BODY_BYTES,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 30_000,
      fetch: (request, connection) => app.fetch(request, { connection }),
    });
    try {
      for (const status of [204, 205, 304]) {
        for (const method of ['Whole', 'Empty', 'Parts']) {
          const request = `GET /bare/${method}?status=${status} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
          const { text } = await sendRaw(server.port, request + request, { responses: 2, silenceMs: 300 });
          const answers = text.split(/^(?=HTTP)/m);
          assert.equal(answers.length, 2, text);
          for (const answer of answers) {
            assert.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), answer);
            assert.match(answer, /^x-own: yes\r$[^]*\r\n\r\n$/im, answer);
            assert.match(answer, /^content-security-policy: /im, answer);
            assert.doesNotMatch(answer, /unsent|^content-type:/im, answer);
          }
        }
      }
      assert.equal(ended, 6, 'each answer in parts is ended unread');
    } finally {
      await server.close(0);
    }
  });
});
