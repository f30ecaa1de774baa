import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { createExtensions } from '../../src/extensions/extensions.ts';
import { createBrokerChannel } from '../../src/extensions/host/broker-channel.ts';
import { scriptHostCommand } from '../../src/extensions/host/command.ts';
import { createLocks } from '../../src/extensions/locks.ts';
import { type Answerer, createAsks, MAX_ASKS, MAX_UNREAD } from '../../src/extensions/scripts/asks.ts';
import type { Call } from '../../src/modules/module.ts';
import { askServices } from '../../src/modules/services/call-services.ts';
import { createServices } from '../../src/modules/services/services.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import { memoryStore } from '../../src/store/memory/memory-store.ts';
import { put } from '../store/support.ts';
import { extensionDir } from '../support/registry/extensions.ts';
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
      let begun = 0;
      let answered = 0;
      for (let id = 1; id <= 200; id++)
        asks.take(
          id,
          async (signal) => {
            begun++;
            const answer = await askServices(services, method, params, call, signal);
            answered++;
            return answer;
          },
          false,
        );
      await waitFor('the answers', () => answered === MAX_UNREAD);
      assert.equal(made, 1);
      assert.ok(process.memoryUsage().arrayBuffers - arrayBuffers < (MAX_UNREAD / 2) * 50_000);
      assert.equal(begun, MAX_UNREAD);
      const sent = lines();
      await waitFor('all answers', () => sent().length === 200);
      assert.ok(sent().every((line) => line.includes('"success":true')));
      await store.close();
    });
  }

  it('begins nothing more for a host that has ended', async () => {
    const { stdin } = unread();
    const asks = createAsks({ stdin, onTooMany: () => assert.fail() });
    let begun = 0;
    const answer: Answerer = async () => {
      begun++;
      return { body: '{}' };
    };
    for (let id = 1; id <= 2 * MAX_UNREAD; id++) asks.take(id, answer, false);
    stdin.destroy();
    await once(stdin, 'close');
    await new Promise(setImmediate);
    assert.equal(begun, MAX_UNREAD);
  });

  it('begins the questions of a call beside what the calls before it have left', async () => {
    const { stdin } = unread();
    const asks = createAsks({ stdin, onTooMany: () => assert.fail() });
    const begun: string[] = [];
    const never =
      (name: string): Answerer =>
      () => {
        begun.push(name);
        return new Promise(() => undefined);
      };
    for (let id = 1; id <= MAX_UNREAD + 10; id++) asks.take(id, never('left'), false);
    asks.endAll(new BrokerError('invalid_request', 'The call has ended'));
    asks.take(1000, never('own'), true);
    for (let id = 1001; id <= 1000 + 2 * MAX_UNREAD; id++) asks.take(id, never('own'), false);
    const count = (name: string): number => begun.filter((one) => one === name).length;
    assert.deepEqual([count('left'), count('own')], [MAX_UNREAD, 1 + MAX_UNREAD]);
  });

  it('keeps no question from an answer because many wait', async () => {
    const { stdin, lines } = unread();
    const asks = createAsks({ stdin, onTooMany: () => assert.fail() });
    let meet = nothing;
    const met = new Promise<void>((resolve) => (meet = resolve));
    const wait: Answerer = async () => {
      await met;
      return { body: '"met"' };
    };
    for (let id = 1; id <= 2 * MAX_UNREAD; id++) asks.take(id, wait, true);
    const write: Answerer = () => {
      meet();
      return Promise.resolve({ body: '"done"' });
    };
    asks.take(0, write, false);
    const sent = lines();
    await waitFor('all answers', () => sent().length === 2 * MAX_UNREAD + 1);
  });

  it('forgets a wait for a lock when its call ends, however many there were', async () => {
    const locks = createLocks();
    await locks.acquire('x', {});
    const { stdin, lines } = unread();
    const sent = lines();
    const asks = createAsks({ stdin, onTooMany: () => assert.fail('none of them waits any more') });
    for (let id = 1; id <= MAX_ASKS + 1; id++) {
      asks.take(
        id,
        async (signal) => {
          await locks.acquire('x', {}, signal);
          return { body: '{}' };
        },
        true,
      );
      asks.endAll(new BrokerError('invalid_request', 'The call has ended'));
      if (id % 1000 === 0) await waitFor('the answers', () => sent().length === id);
    }
    assert.ok(sent().every((line) => line.includes('The call has ended')));
  });
});

describe('createBrokerChannel()', () => {
  it('keeps a key with an escape, after another one at that place', async () => {
    const channel = createBrokerChannel({
      mark: '',
      write: (_text, done) => done(),
      print: nothing,
      isRunning: () => true,
      onFrame: () => assert.fail(),
    });
    for (const [at, key] of ['\\', '\n'].entries()) {
      const asked = channel.ask(1, { lock: 'x' });
      const envelope = { q: 1, [key]: 1 };
      channel.read(`${JSON.stringify({ type: 'answer', id: at + 1, envelope })}\n`);
      assert.deepEqual(await asked, envelope);
    }
  });
});

const script = `
let made;
export const Greet = ({ registry, data }) => { made = registry.replace('last', data); return 'hi'; };
export const Made = () => made.then(({ revision }) => \`revision \${revision}\`, ({ message }) => message);
export const Forgets = ({ registry }) => { void registry.waitFor('never'); void registry.get('last'); return String(process.pid); };
export const Which = () => String(process.pid);
`;

const locking = `
let taken;
export const Holds = ({ withLock, registry, signal }) => withLock('x', async () => {
  await registry.replace('held', '');
  await new Promise((resolve) => signal.addEventListener('abort', resolve));
});
export const Locks = ({ withLock }) => { taken = withLock('x', () => 'it worked').catch(({ message }) => message); return 'ok'; };
export const Taken = () => taken;
`;

describe('what a method asks and does not wait for', () => {
  it('is answered after its call if it was a write, and costs no other call anything', async () => {
    const store = memoryStore();
    let release = nothing;
    const mayWrite = new Promise<void>((resolve) => (release = resolve));
    const services = createServices({
      ...store,
      get revision() {
        return store.revision;
      },
      async mutate(...args) {
        await mayWrite;
        return store.mutate(...args);
      },
    });
    const lines: string[] = [];
    const extensions = createExtensions({
      dir: extensionDir({ 'own.mjs': script, 'locking.mjs': locking }),
      config: { own: { _concurrency: 1 }, locking: { _concurrency: 2 } },
      services,
      log: { debug: nothing, info: (line) => lines.push(line), warn: nothing, error: nothing },
      hostCommand: () => scriptHostCommand(),
      grantAccess: () => assert.fail(),
    });
    const run = async (method: string, name = 'own', signal = call.signal): Promise<string> => {
      const module = await extensions.find(name);
      const { body = '' } = (await module?.call(method, { ...call, signal, params: { data: 'x' } })) ?? {};
      assert.ok(typeof body === 'string');
      return body;
    };

    assert.equal(await run('Greet'), 'hi');
    // The end of the call has come to all that it asked.
    await new Promise(setImmediate);
    release();
    assert.equal(await run('Made'), 'revision 1');
    assert.deepEqual(lines, []);
    // The lock is another call's, or it would be given before the broker reads that its call has ended.
    const holding = new AbortController();
    const held = run('Holds', 'locking', holding.signal);
    await waitFor('the lock', () => store.get('held'));
    assert.equal(await run('Locks', 'locking'), 'ok');
    assert.match(await run('Taken', 'locking'), /only during a call/);
    holding.abort(new Error('its caller has gone'));
    await Promise.allSettled([held]);
    const host = await run('Forgets');
    for (let times = 0; times < 5; times++) assert.equal(await run('Which'), host);
    await extensions.close(0);
    await store.close();
  });
});
