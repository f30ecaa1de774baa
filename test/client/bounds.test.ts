import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JsonObject } from '../../src/protocol/formats/data.ts';
import { execute } from '../../src/client/execute.ts';
import { createRegistry } from '../../src/client/registry/registry.ts';
import { deadlineIn } from '../../src/client/connection/retry.ts';
import { createRpc, type Rpc } from '../../src/client/connection/rpc.ts';
import { watchChanges } from '../../src/client/registry/watch.ts';
import type { Ending } from '../../src/protocol/ending.ts';
import type { ChannelResponse } from '../../src/runtime/runtime.ts';
import { answeringRpc } from './answering-rpc.ts';

/** Row "what a client reads": what a broker, or a host in its place, can make its client read. */

const MIB = 1024 * 1024;

/** An answer without an end, and how many bytes of it were read. */
function endless(contentType: string, first = ''): { response: ChannelResponse; read: () => number } {
  let read = 0;
  async function* stream(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(first);
    for (;;) {
      read += MIB;
      yield Buffer.alloc(MIB, 'x');
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
  }
  const response = {
    status: 200,
    header: () => contentType,
    text: () => Promise.reject(new Error('not asked for')),
    stream,
  };
  return { response, read: () => read };
}

const rpcOf = (response: ChannelResponse): Rpc => answeringRpc(() => Promise.resolve(response));

function pageOf(names: readonly string[], next?: string): JsonObject {
  const entries = names.map((name) => ({ name, revision: 1, data: { _str: 'x' } }));
  return { success: true, data: { entries, count: 1, ...(next === undefined ? {} : { next }) }, revision: 1 };
}

describe('waitForCount({ entries: true })', () => {
  it('ends with its signal while it reads the entries, too', async () => {
    const given = new AbortController();
    const registry = createRegistry({
      async call(_module, _method, params, { signal } = {}) {
        if (params['after'] === undefined) return pageOf(['a'], 'a');
        given.abort(new Error('enough'));
        signal?.throwIfAborted();
        return pageOf(['b']);
      },
    });
    await assert.rejects(
      registry.waitForCount(1, '', { entries: true, signal: given.signal }),
      /^Error: enough$/,
    );
  });
});

describe('row "what a client reads"', () => {
  it('a list whose pages do not advance is an error', async () => {
    const lists: Record<string, (asked: number) => JsonObject> = {
      'the same next': () => pageOf(['a'], 'a'),
      'a lower next': (asked) => pageOf(['x'], asked === 0 ? 'x' : 'b'),
      'an empty page': (asked) => pageOf([], `a${asked}`),
    };
    for (const [what, answer] of Object.entries(lists)) {
      let asked = 0;
      const registry = createRegistry({
        call() {
          if (asked > 10) throw new Error(`${what}: asked for ever`);
          return Promise.resolve(answer(asked++));
        },
      });
      await assert.rejects(registry.list(), { code: 'internal', message: /does not advance/ }, what);
    }
  });

  it('pages that advance are all read', async () => {
    const pages = [pageOf(['a', 'b'], 'b'), pageOf(['c'], 'c'), pageOf(['d'])];
    const registry = createRegistry({ call: () => Promise.resolve(pages.shift() ?? {}) });
    const { entries } = await registry.list();
    assert.deepEqual(
      entries.map(({ name }) => name),
      ['a', 'b', 'c', 'd'],
    );
  });

  it('an event without an end ends the watch', async () => {
    const { response, read } = endless('text/event-stream', 'data: ');
    const reconnect = Object.assign((why: unknown) => Promise.resolve(why), {
      cause: () => undefined,
      reached: () => undefined,
    });
    const options = { deadline: deadlineIn(0), reconnect };
    const changes = watchChanges(rpcOf(response), {}, options, () => Promise.reject(new Error('no list')));
    await assert.rejects(changes.next(), { code: 'internal', message: /longer than 16 MiB/ });
    assert.ok(read() <= 18 * MIB, `${read()} bytes were read`);
  });

  it('a frame without an end ends a call', async () => {
    const { response, read } = endless('application/x-bpbroker-frames', '{"head":');
    await assert.rejects(execute(rpcOf(response), 'a.B', {}, {}), {
      code: 'internal',
      message: /longer than/,
    });
    assert.ok(read() <= 64 * MIB, `${read()} bytes were read`);
  });
});

/** How many listen to the end of a client. */
function countListeners(ending: Ending): () => number {
  const listeners = new Set<() => void>();
  const add = ending.addEventListener.bind(ending);
  const remove = ending.removeEventListener.bind(ending);
  Object.assign(ending, {
    addEventListener(...[type, listener, options]: Parameters<typeof add>) {
      listeners.add(listener);
      add(type, listener, options);
    },
    removeEventListener(...[type, listener]: Parameters<typeof remove>) {
      listeners.delete(listener);
      remove(type, listener);
    },
  });
  return () => listeners.size;
}

describe('what a call leaves behind', () => {
  /** A method whose output begins with these frames, and never ends. */
  const calling = (...frames: readonly object[]): Rpc => {
    async function* stream(): AsyncGenerator<Uint8Array> {
      for (const frame of frames) yield Buffer.from(`${JSON.stringify(frame)}\n`);
      await new Promise(() => undefined);
    }
    const response: ChannelResponse = {
      status: 200,
      header: () => 'application/x-bpbroker-frames',
      text: () => Promise.reject(new Error('not asked for')),
      stream,
    };
    const { connection } = rpcOf(response);
    return createRpc({
      connection: { ...connection, request: () => Promise.resolve(response) },
      timeoutMs: 10_000,
    });
  };
  const head = { head: { status: 200, contentType: 'text/plain' } };

  it('is nothing when it fails', async () => {
    const rpc = calling({ error: { code: 'extension_failed', message: 'no', status: 500 } });
    const count = countListeners(rpc.closed);
    for (let n = 0; n < 20; n++)
      await assert.rejects(execute(rpc, 'a.B', {}, {}), { code: 'extension_failed', message: 'no' });
    assert.equal(count(), 0);
  });

  it('is nothing when its output is given up, read or not', async () => {
    const rpc = calling(head, { text: 'x' });
    const count = countListeners(rpc.closed);
    for (let n = 0; n < 20; n++) {
      await using execution = await execute(rpc, 'a.B', {}, {});
      if (n % 2 === 0) for await (const part of execution.output) if (part.length > 0) break;
      assert.ok(count() <= 1, `${count()} listen to the end of the client`);
    }
    assert.equal(count(), 0);
  });
});
