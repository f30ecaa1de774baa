import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { JsonObject } from '../../src/protocol/formats/data.ts';
import { execute } from '../../src/client/execute.ts';
import { createRegistry } from '../../src/client/registry/registry.ts';
import { deadlineIn } from '../../src/client/connection/retry.ts';
import type { Rpc } from '../../src/client/connection/rpc.ts';
import { watchChanges } from '../../src/client/registry/watch.ts';
import type { ChannelResponse } from '../../src/runtime/runtime.ts';

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

function rpcOf(response: ChannelResponse): Rpc {
  return {
    connection: {
      address: { host: '127.0.0.1', port: 1 },
      place: '127.0.0.1:1',
      isProxied: false,
      request: () => Promise.reject(new Error('not asked for')),
      probe: () => Promise.resolve(),
      close: () => undefined,
    },
    closed: new AbortController().signal,
    call: () => Promise.reject(new Error('not asked for')),
    open: () => Promise.resolve(response),
    close: () => undefined,
  };
}

function pageOf(names: readonly string[], next?: string): JsonObject {
  const entries = names.map((name) => ({ name, revision: 1, data: { _str: 'x' } }));
  return { success: true, data: { entries, count: 1, ...(next === undefined ? {} : { next }) }, revision: 1 };
}

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
