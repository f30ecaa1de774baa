import assert from 'node:assert/strict';
import { afterEach, describe, it, mock } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { execute } from '../../src/client/execute.ts';
import { deadlineIn } from '../../src/client/connection/retry.ts';
import type { CallOptions, Rpc } from '../../src/client/connection/rpc.ts';
import { watchChanges } from '../../src/client/registry/watch.ts';
import { answeringRpc } from './answering-rpc.ts';

/** A reader that takes its time is no broker that has fallen silent. */

const LONG_MS = 100_000;

/** Answers each call with these chunks, which are ready at once, and with nothing more. */
function rpcOf(contentType: string, chunks: readonly string[]): { readonly rpc: Rpc; opened(): number } {
  let opened = 0;
  const open = (_module: string, _method: string, _params: unknown, { signal }: CallOptions = {}) => {
    opened += 1;
    async function* stream(): AsyncGenerator<Uint8Array> {
      for (const chunk of chunks) {
        signal?.throwIfAborted();
        yield Buffer.from(chunk);
      }
      await new Promise((_, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    }
    const text = (): Promise<string> => Promise.reject(new Error('not asked for'));
    return Promise.resolve({ status: 200, header: () => contentType, text, stream });
  };
  return { rpc: answeringRpc(open), opened: () => opened };
}

const frames = (...list: readonly object[]): string[] => list.map((frame) => `${JSON.stringify(frame)}\n`);
const head = { head: { status: 200, contentType: 'text/plain' } };
const put = (revision: number): string =>
  `data: ${JSON.stringify({ type: 'put', name: 'a', revision, data: 'x', last_write_ts: 0, last_write_ip: '' })}\n\n`;

describe('a reader that takes its time', () => {
  afterEach(() => mock.timers.reset());

  it('gets the whole output of a method', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { rpc } = rpcOf(
      'application/x-bpbroker-frames',
      frames(head, { text: 'a' }, { text: 'b' }, { end: true }),
    );
    const { output } = await execute(rpc, 'my.Method', {}, {});
    const texts: string[] = [];
    for await (const part of output) {
      texts.push(Buffer.from(part).toString());
      mock.timers.tick(LONG_MS);
    }
    assert.deepEqual(texts, ['a', 'b']);
  });

  it('gets every change of a watch, which is not opened again', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { rpc, opened } = rpcOf('text/event-stream', [put(1), put(2), put(3)]);
    const reconnect = Object.assign(() => assert.fail('took its broker for lost'), {
      cause: () => undefined,
      reached: () => undefined,
    });
    // Without time left, a watch that is lost fails at once.
    const options = { deadline: deadlineIn(0), reconnect };
    const revisions: number[] = [];
    for await (const { revision } of watchChanges(rpc, {}, options, () => assert.fail('listed'))) {
      revisions.push(revision);
      if (revision === 3) break;
      mock.timers.tick(LONG_MS);
    }
    assert.deepEqual([revisions, opened()], [[1, 2, 3], 1]);
  });

  it('gets nothing of an output that it does not begin to read in time', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { rpc } = rpcOf('application/x-bpbroker-frames', frames(head, { text: 'a' }));
    const execution = await execute(rpc, 'my.Method', {}, {});
    mock.timers.tick(LONG_MS);
    await assert.rejects(execution.text(), {
      code: 'timeout',
      message: 'Nobody has read the output of my.Method for 40 s',
    });
  });
});

describe('a broker that falls silent', () => {
  afterEach(() => mock.timers.reset());

  it('fails the output that is being read', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    const { rpc } = rpcOf('application/x-bpbroker-frames', frames(head, { text: 'a' }));
    const { output } = await execute(rpc, 'my.Method', {}, {});
    const parts = output[Symbol.asyncIterator]();
    await parts.next();
    const rest = assert.rejects(parts.next(), { code: 'unreachable', message: /fell silent/ });
    await turn();
    mock.timers.tick(LONG_MS);
    await rest;
  });
});
