import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, it } from 'node:test';
import { runtime } from '#runtime';
import { untilAborted } from '../../src/protocol/until-aborted.ts';
import { type Broker, type BrokerClient, connect, createBroker } from '../../src/index.ts';
import { atEnd } from '../support/cleanup.ts';
import { tempDir } from '../support/temp.ts';
import { waitFor } from '../support/wait.ts';

const url = 'https://app.test';

async function open(): Promise<Broker> {
  const broker = await createBroker({ dir: tempDir(), config: { services: {}, api: { listen_port: 0 } } });
  atEnd(() => broker.close());
  return broker;
}

const closed = { name: 'BrokerError', code: 'usage', message: /^The client of .+ has been closed; connect/ };

/** Whether a call ends as `closed` says. One that goes on would hold up this file for ever. */
const isClosed = (call: Promise<unknown>): Promise<void> => {
  const late = AbortSignal.timeout(20_000);
  return assert.rejects(untilAborted(call, late), closed);
};

/** Every kind of call that a client can have open. */
function openCalls(client: BrokerClient): Promise<unknown>[] {
  return [
    client.waitFor('never'),
    client.waitForCount(9),
    client.watch().next(),
    client.watch({ initial: true }).next(),
    client.call('services', 'Get', { name: 'never', wait: '30s' }, { timeoutMs: Infinity }),
  ];
}

describe(`close() of a client, on ${runtime.name}`, () => {
  it('ends every call that is open, and refuses later ones, with nothing sent', async () => {
    const { app } = await open();
    const asked: string[] = [];
    const client = await connect({
      broker: url,
      fetch(request) {
        asked.push(request.url);
        return app.fetch(request);
      },
    });
    const calls = openCalls(client);
    // The watch with `initial` has read its list by then.
    await waitFor('their requests', () => asked.filter((at) => at.endsWith('/Watch')).length === 2);
    client.close();
    const sent = asked.length;
    await Promise.all(calls.map(isClosed));
    const later = [...openCalls(client), client.get('a'), client.ping(), client.execute('a.B')];
    await Promise.all(later.map(isClosed));
    assert.equal(asked.length, sent, asked.join('\n'));
  });

  it('ends an output that is being read', async () => {
    const stream = new ReadableStream({ start: (sink) => sink.enqueue(new Uint8Array(3)) });
    const client = await connect({
      broker: url,
      fetch: ({ url: at }) => (at.endsWith('/identity') ? Response.json({}) : new Response(stream)),
    });
    const { output } = await client.execute('my.Method');
    const parts = output[Symbol.asyncIterator]();
    assert.equal((await parts.next()).value?.length, 3);
    const rest = parts.next();
    client.close();
    await isClosed(rest);
  });

  it('ends a wait whose broker is out of reach, and looks for it no more', async () => {
    let isDown = false;
    let asked = 0;
    const notes: string[] = [];
    const client = await connect({
      broker: url,
      notify: (line) => notes.push(line),
      fetch() {
        asked += 1;
        return isDown ? new Response('', { status: 502 }) : Response.json({ id: 'x' });
      },
    });
    isDown = true;
    const calls = [client.waitFor('a'), client.watch().next()];
    await waitFor('the loss', () => client.outOfReach() !== undefined);
    client.close();
    const atClose = [asked, ...notes];
    await Promise.all(calls.map(isClosed));
    assert.deepEqual([asked, ...notes], atClose);
  });

  it('ends any number of calls; nothing warns of their number, in the client or its broker', async () => {
    const { app } = await open();
    const warnings: string[] = [];
    const warn = ({ message }: Error): void => void warnings.push(message);
    process.on('warning', warn);
    let asked = 0;
    const client = await connect({
      broker: url,
      fetch(request) {
        asked += 1;
        return app.fetch(request);
      },
    });
    const before = asked;
    const waits = Array.from({ length: 20 }, () => client.waitFor('never'));
    await waitFor('their requests', () => asked === before + waits.length);
    // By then the broker has read them, too.
    await client.register('another', '');
    await client.delete('another');
    client.close();
    await Promise.all(waits.map(isClosed));
    process.off('warning', warn);
    assert.deepEqual(warnings, []);
  });

  it('leaves the reason to a signal that came first', async () => {
    const { app } = await open();
    const client = await connect({ broker: url, fetch: (request) => app.fetch(request) });
    const given = new AbortController();
    const waiting = client.waitFor('never', { signal: given.signal });
    const watching = client.watch({ signal: given.signal }).next();
    given.abort(new Error('enough'));
    client.close();
    await assert.rejects(waiting, { message: 'enough' });
    assert.deepEqual(await watching, { done: true, value: undefined });
  });

  it('does so over the network too, at the end of a block', async () => {
    const broker = await open();
    const { port } = await broker.listen();
    const knownBrokers = path.join(tempDir(), 'known_brokers');
    const calls: Promise<unknown>[] = [];
    {
      await using client = await connect({ broker: { host: '127.0.0.1', port }, knownBrokers });
      calls.push(...openCalls(client).map(isClosed));
      await client.ping();
    }
    await Promise.all(calls);
  });
});
