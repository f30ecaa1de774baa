import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createSocket, type Socket } from 'node:dgram';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { after, describe, it } from 'node:test';
import { createReplyLimit } from '../../../src/api/access/rate-limit.ts';
import {
  type Responder,
  type ResponderOptions,
  startResponder,
} from '../../../src/broker/discovery/responder.ts';
import { silentLogger } from '../../../src/protocol/logger.ts';
import { waitFor } from '../../support/wait.ts';

const open: { close(): unknown }[] = [];
after(async () => {
  for (const one of open) await one.close();
});

async function start(options: Partial<ResponderOptions> = {}): Promise<Responder> {
  const has = (name: string): Promise<boolean> => Promise.resolve(name === 'foo');
  const responder = await startResponder({
    listenIp: '127.0.0.1',
    port: 0,
    has,
    log: silentLogger,
    ...options,
  });
  open.push(responder);
  return responder;
}

interface Client {
  readonly socket: Socket;
  readonly answers: string[];
  send(datagram: string | Uint8Array): void;
}

async function connectTo({ port }: Responder, address = '127.0.0.1', from = '127.0.0.1'): Promise<Client> {
  const socket = createSocket('udp4');
  socket.bind(0, from);
  await once(socket, 'listening');
  const answers: string[] = [];
  socket.on('message', (message) => answers.push(message.toString()));
  open.push(socket);
  return { socket, answers, send: (datagram) => socket.send(datagram, port, address) };
}

describe('the responder', () => {
  it('answers for a name that exists, and for any broker', async () => {
    const responder = await start();
    const client = await connectTo(responder);
    client.send('foo\n');
    await waitFor('an answer', () => client.answers.length === 1);
    client.send('\n');
    await waitFor('an answer', () => client.answers.length === 2);
    assert.deepEqual(client.answers, ['Key Exists\n', 'Key Exists\n']);
  });

  it('keeps silent for a name that does not exist', async () => {
    const responder = await start();
    const client = await connectTo(responder);
    client.send('bar\n');
    await waitFor('the datagram', () => responder.stats().notHeld === 1);
    assert.equal(responder.stats().answered, 0);
  });

  it('row "probing for names": never answers for _access_key, nor asks the registry for it', async () => {
    const asked: string[] = [];
    const has = (name: string): Promise<boolean> => Promise.resolve(asked.push(name) > 0);
    const responder = await start({ has });
    const client = await connectTo(responder);
    for (const query of ['_access_key\n', ' _access_key\n', '_\n', 'Key Exists\n']) client.send(query);
    await waitFor('the datagrams', () => responder.stats().malformed === 4);
    assert.deepEqual([asked, responder.stats().answered], [[], 0]);
  });

  it('drops garbage and goes on answering', async () => {
    const responder = await start();
    const client = await connectTo(responder);
    for (let i = 0; i < 300; i++) {
      client.send(Uint8Array.from({ length: i * 7 }, (_, n) => (n * 131 + i * 17) % 256));
      if (i % 50 === 49) await sleep(5);
    }
    await waitFor('the datagrams', () => responder.stats().received >= 250);
    client.send('foo\n');
    await waitFor('an answer', () => client.answers.length === 1);
  });

  it('answers a repeated question at once only once', async () => {
    const responder = await start();
    const client = await connectTo(responder);
    for (let i = 0; i < 4; i++) client.send('foo\n');
    await waitFor('the datagrams', () => responder.stats().received === 4);
    assert.deepEqual([responder.stats().answered, responder.stats().repeated], [1, 3]);
    await sleep(80);
    client.send('foo\n');
    await waitFor('a second answer', () => responder.stats().answered === 2);
  });

  it('row "reflection": sends 10 replies a second to one source, and still answers another', async () => {
    const responder = await start();
    const began = performance.now();
    const clients = await Promise.all(Array.from({ length: 30 }, () => connectTo(responder)));
    for (const client of clients) client.send('foo\n');
    await waitFor('the datagrams', () => responder.stats().received === 30);
    if (performance.now() - began < 1000) {
      assert.deepEqual([responder.stats().answered, responder.stats().limited], [10, 20]);
    }
    const other = await connectTo(responder, '127.0.0.1', '127.0.0.2');
    other.send('foo\n');
    await waitFor('an answer to another source', () => other.answers.length === 1);
    const answers = (): number => clients.flatMap((client) => client.answers).length;
    const before = answers();
    await waitFor('the first source to be answered again', async () => {
      clients[0]?.send('foo\n');
      await sleep(100);
      return answers() > before;
    });
  });

  it('keeps to 200 replies a second overall for queries that are shorter, and to no number for the others', async () => {
    const responder = await start();
    const ask = async (query: string, hosts: number): Promise<void> => {
      const before = responder.stats().received;
      for (let i = 0; i < hosts; i++) {
        const client = await connectTo(responder, '127.0.0.1', `127.1.${i >> 8}.${i & 255}`);
        client.send(query);
        // The system keeps only so many that have not been read.
        await turn();
      }
      await waitFor('the datagrams', () => responder.stats().received === before + hosts);
    };
    const began = performance.now();
    await ask('foo\n', 250);
    const { answered, limited } = responder.stats();
    if (performance.now() - began < 1000) assert.deepEqual([answered, limited], [200, 50]);
    await ask('foo       \n', 600);
    await waitFor('all to be answered', () => responder.stats().answered === answered + 600);
  });

  it('outlives a registry that fails, and says so once', async () => {
    const lines: string[] = [];
    const has = (): Promise<boolean> => Promise.reject(new Error('no quorum'));
    const warn = (message: string): void => void lines.push(message);
    const responder = await start({ has, log: { ...silentLogger, warn } });
    const client = await connectTo(responder);
    client.send('foo\n');
    client.send('bar\n');
    await waitFor('both to fail', () => responder.stats().failed === 2);
    assert.deepEqual(lines, ['Discovery cannot ask the registry']);
    client.send('\n');
    await waitFor('an answer', () => client.answers.length === 1);
  });

  it('does not let a slow registry be asked without bound', async () => {
    let asked = 0;
    const has = (): Promise<boolean> => {
      asked += 1;
      return new Promise(() => undefined);
    };
    const responder = await start({ has });
    const client = await connectTo(responder);
    for (let i = 0; responder.stats().limited === 0 && i < 10_000; i++) {
      client.send(`name${i}\n`);
      if (i % 50 === 49) await sleep(5);
    }
    await waitFor('some to be dropped', () => responder.stats().limited > 0);
    assert.equal(asked, 4096);
  });

  it('rejects with EADDRINUSE where the port is taken, and lets go of it when closed', async () => {
    const { port } = await start();
    await assert.rejects(start({ port }), { code: 'EADDRINUSE' });
    const other = await start();
    await other.close();
    await start({ port: other.port });
    await other.close();
  });
});

describe('the reply limit', () => {
  it('is exact in any second, by source and overall', () => {
    const limit = createReplyLimit({ perSource: 10, overall: 200 });
    const taken = (source: string, now: number): boolean => limit.take(source, now);
    for (let i = 0; i < 10; i++) assert.ok(taken('a', i * 10));
    assert.ok(!taken('a', 999));
    assert.ok(taken('a', 1000));
    assert.ok(!taken('a', 1001));
    let overall = 0;
    for (let i = 0; i < 1000; i++) overall += taken(`b${i}`, 5000) ? 1 : 0;
    assert.equal(overall, 200);
    assert.ok(!taken('c', 5999));
    assert.ok(taken('c', 6000));
  });

  it('keeps no more sources in mind than it may, and forgets the one that was quiet the longest', () => {
    const limit = createReplyLimit({ perSource: 1, maxSources: 1000 });
    for (let i = 0; i < 100_000; i++) assert.ok(limit.take(`source${i}`, i / 1000));
    assert.equal(limit.sources, 1000);
    assert.ok(!limit.take('source99500', 100));
    assert.ok(limit.take('source98000', 100));
  });

  it('keeps no more sources in mind than replies a second', () => {
    const limit = createReplyLimit({ perSource: 10, overall: 200 });
    for (let i = 0; i < 100_000; i++) limit.take(`source${i}`, i / 10);
    assert.ok(limit.sources <= 200, String(limit.sources));
  });
});
