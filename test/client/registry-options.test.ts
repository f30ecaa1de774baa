import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connect } from '../../src/client/client.ts';
import { createRegistry } from '../../src/client/registry/registry.ts';

/** As a program without types has it. */
type Untyped = Record<string, (...args: unknown[]) => Promise<unknown>>;

describe('a method of the registry', () => {
  const sent: unknown[] = [];
  const call = (...args: unknown[]): Promise<never> => {
    sent.push(args);
    return Promise.reject(new Error('sent'));
  };
  const registry = createRegistry({ call }) as unknown as Untyped;

  const misspelt: readonly [method: string, args: readonly unknown[], message: string][] = [
    [
      'replace',
      ['a', 'b', { ifRevison: 9 }],
      "replace: the option 'ifRevison' is unknown; did you mean 'ifRevision'?",
    ],
    ['update', ['a', {}, { ttl: '5s' }], "update: the option 'ttl' is unknown; did you mean 'ttlMs'?"],
    [
      'register',
      ['a', 'b', { ifsame: true }],
      "register: the option 'ifsame' is unknown; did you mean 'ifSame'?",
    ],
    [
      'delete',
      ['a', { revision: 1 }],
      "delete: the option 'revision' is unknown; did you mean 'ifRevision'?",
    ],
    [
      'renew',
      ['a', { ifRevisions: 1 }],
      "renew: the option 'ifRevisions' is unknown; did you mean 'ifRevision'?",
    ],
    [
      'waitFor',
      ['a', { timeoutms: 1 }],
      "waitFor: the option 'timeoutms' is unknown; did you mean 'timeoutMs'?",
    ],
    ['waitForCount', [1, '', { entry: true }], "waitForCount: the option 'entry' is unknown; "],
  ];
  for (const [method, args, message] of misspelt) {
    it(`sends nothing with an option that it does not know: ${method}`, async () => {
      await assert.rejects(
        registry[method]?.(...args) ?? Promise.resolve(),
        (error: Error & { code: string }) => {
          assert.ok(
            error.message.startsWith(message.slice(0, message.indexOf(' is unknown') + 11)),
            error.message,
          );
          assert.equal(error.code, 'usage');
          return true;
        },
      );
      assert.deepEqual(sent, []);
    });
  }

  const endless: readonly [method: string, args: readonly unknown[], message: string][] = [
    [
      'register',
      ['a', 'b', { wait: true, timeoutMs: Number.NaN }],
      "register: the option 'timeoutMs' is NaN;",
    ],
    ['waitFor', ['a', { timeoutMs: '5s' }], `waitFor: the option 'timeoutMs' is "5s";`],
    ['waitForCount', [1, '', { timeoutMs: -1 }], "waitForCount: the option 'timeoutMs' is -1;"],
    ['waitFor', ['a', { signal: {} }], "waitFor: the option 'signal' is an object; expected an AbortSignal"],
  ];
  for (const [method, args, message] of endless) {
    it(`sends nothing with a limit that would be none: ${message}`, async () => {
      const asked = registry[method]?.(...args) ?? Promise.resolve();
      await assert.rejects(asked, (error: Error & { code: string }) => {
        assert.ok(error.message.startsWith(message), error.message);
        assert.equal(error.code, 'usage');
        return true;
      });
      assert.deepEqual(sent, []);
    });
  }

  it('takes those that it knows, and none', async () => {
    for (const args of [
      ['a', 'b', { ttlMs: 5, ifRevision: 0 }],
      ['a', 'b', undefined],
      ['a', 'b'],
    ])
      await assert.rejects(registry['replace']?.(...args) ?? Promise.resolve(), /^Error: sent$/);
    assert.equal(sent.length, 3);
  });
});

describe('a method of the client', () => {
  const sent: string[] = [];
  const opened = connect({
    broker: 'https://app.test',
    fetch(request) {
      if (!request.url.endsWith('/identity')) sent.push(request.url);
      return Response.json({});
    },
  });
  const misspelt: readonly [method: string, args: readonly unknown[], message: RegExp][] = [
    [
      'ping',
      ['x', { timeoutms: 1 }],
      /^ping: the option 'timeoutms' is unknown; did you mean 'timeoutMs'\?$/,
    ],
    [
      'call',
      ['my', 'Method', {}, { ttl: 1 }],
      /^call: the option 'ttl' is unknown; there are timeoutMs, signal, headers$/,
    ],
    [
      'execute',
      ['my.Method', {}, { signals: 1 }],
      /^execute: the option 'signals' is unknown; did you mean 'signal'\?$/,
    ],
    ['watch', [{ prefx: 'a' }], /^watch: the option 'prefx' is unknown; did you mean 'prefix'\?$/],
    ['ping', ['x', { timeoutMs: '3s' }], /^ping: the option 'timeoutMs' is "3s"; expected a number of milli/],
    ['call', ['my', 'Method', {}, { timeoutMs: Number.NaN }], /^call: the option 'timeoutMs' is NaN; /],
    [
      'execute',
      ['my.Method', {}, { signal: 'x' }],
      /^execute: the option 'signal' is "x"; expected an Abort/,
    ],
    ['watch', [{ timeoutMs: Number.NaN }], /^watch: the option 'timeoutMs' is NaN; /],
  ];
  for (const [method, args, message] of misspelt) {
    it(`sends nothing with an option that is unknown or of the wrong kind: ${message.source}`, async () => {
      const client = (await opened) as unknown as Record<string, (...given: unknown[]) => unknown>;
      const made = client[method]?.(...args);
      const answer = method === 'watch' ? (made as AsyncIterator<unknown>).next() : made;
      await assert.rejects(answer as Promise<unknown>, { code: 'usage', message });
      assert.deepEqual(sent, []);
    });
  }
});
