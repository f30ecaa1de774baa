import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { createAsks } from '../../src/extensions/scripts/asks.ts';
import type { Call } from '../../src/modules/module.ts';
import { askServices } from '../../src/modules/services/call-services.ts';
import { createServices } from '../../src/modules/services/services.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { put } from '../store/support.ts';
import { waitFor } from '../support/wait.ts';

const nothing = (): void => undefined;
const call = {
  params: {},
  clientAddress: '192.0.2.1',
  requestId: 'r',
  signal: new AbortController().signal,
  keepOpen: nothing,
} as unknown as Call;

/** The standard input of a host that reads nothing until `lines` is called. */
function unread(): { stdin: PassThrough; lines(): () => string[] } {
  const stdin = new PassThrough({ highWaterMark: 1 });
  return {
    stdin,
    lines() {
      let text = '';
      stdin.setEncoding('utf8').on('data', (more: string) => (text += more));
      return () => text.split('\n').slice(0, -1);
    },
  };
}

describe('createAsks()', () => {
  const questions = {
    'an entry with a lifetime': ['Get', { name: 'mortal' }],
    'a write': ['Renew', { name: 'mortal' }],
    'a page': ['List', {}],
  } as const;
  for (const [what, [method, params]] of Object.entries(questions)) {
    it(`makes an answer only once the host has read the one before it: ${what}`, async () => {
      let made = 0;
      const store = memoryStore();
      const data = {
        inner: {
          get text() {
            made++;
            return 'x'.repeat(50_000);
          },
        },
      };
      await store.mutate('mortal', put(data, 60_000));
      made = 0;
      const services = createServices(store);
      const { stdin, lines } = unread();
      const asks = createAsks({ stdin, onTooMany: () => assert.fail() });
      const { arrayBuffers } = process.memoryUsage();
      let answered = 0;
      for (let id = 1; id <= 200; id++)
        asks.take(id, async (signal) => {
          const answer = await askServices(services, method, params, call, signal);
          answered++;
          return answer;
        });
      await waitFor('the answers', () => answered === 200);
      assert.equal(made, 1);
      assert.ok(process.memoryUsage().arrayBuffers - arrayBuffers < 100 * 50_000);
      const sent = lines();
      await waitFor('all answers', () => sent().length === 200);
      assert.ok(sent().every((line) => line.includes('"success":true')));
      await store.close();
    });
  }
});
