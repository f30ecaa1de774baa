import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, describe, it } from 'node:test';
import { createKeyedDiscovery, type KeyedDiscovery } from '../../../src/broker/discovery/keyed-discovery.ts';
import {
  type Responder,
  type ResponderOptions,
  startResponder,
} from '../../../src/broker/discovery/responder.ts';
import { defaults } from '../../../src/config/schema.ts';
import type { Json } from '../../../src/protocol/formats/data.ts';
import { ANY_BROKER, type KeyedReply, type Question } from '../../../src/protocol/discovery/datagrams.ts';
import { keyedQuestion } from '../../../src/protocol/discovery/keyed-forms.ts';
import { silentLogger } from '../../../src/protocol/logger.ts';
import { waitFor } from '../../support/wait.ts';

const newKey = (): string => randomBytes(32).toString('hex');
const fingerprint = 'ab'.repeat(32);
const key = newKey();

const open: { close(): unknown }[] = [];
after(async () => {
  for (const one of open) await one.close();
});

function keyed(keys: Json, id = 'registry-1'): KeyedDiscovery {
  const config = { ...defaults, discover: { _access_key: keys } };
  const discovery = createKeyedDiscovery({ config, id, instance: 'this-process' });
  assert.ok(discovery);
  discovery.announce({ port: 20443, fingerprint });
  return discovery;
}

/** The first datagram that a client sends. */
const queryOf = (question: Question): Uint8Array => question.queries(0)[0] ?? assert.fail('no query');

interface Running {
  readonly responder: Responder;
  /** Names that the registry was asked for. */
  readonly asked: string[];
}

async function start(keys: Json = key, options: Partial<ResponderOptions> = {}): Promise<Running> {
  const asked: string[] = [];
  const has = (name: string): Promise<boolean> => Promise.resolve(asked.push(name) > 0 && name === 'foo');
  const { form } = keyed(keys);
  const log = silentLogger;
  const responder = await startResponder({ listenIp: '127.0.0.1', port: 0, has, log, form, ...options });
  open.push(responder);
  return { responder, asked };
}

interface Client {
  readonly socket: Socket;
  readonly answers: Uint8Array[];
  send(datagram: string | Uint8Array): void;
}

async function clientOf({ port }: Responder): Promise<Client> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const answers: Uint8Array[] = [];
  socket.on('message', (message) => answers.push(new Uint8Array(message)));
  open.push(socket);
  return { socket, answers, send: (datagram) => socket.send(datagram, port, '127.0.0.1') };
}

const received = (responder: Responder, count: number): Promise<unknown> =>
  waitFor(`${count} datagrams`, () => responder.stats().received === count);

/** Asks once and returns what was answered. */
async function ask(responder: Responder, name: string, withKey = key): Promise<KeyedReply | undefined> {
  const client = await clientOf(responder);
  const question = keyedQuestion(name, withKey);
  const before = responder.stats();
  client.send(queryOf(question));
  await received(responder, before.received + 1);
  if (responder.stats().answered === before.answered) return undefined;
  const answer = await waitFor('the answer', () => client.answers[0]);
  const reply = question.read(answer);
  return reply?.form === 'keyed' ? reply : assert.fail('an answer that does not fit the question');
}

describe('a keyed responder', () => {
  it('answers for a name that exists, and for any broker, with what a client needs', async () => {
    const { responder } = await start();
    for (const name of ['foo', ANY_BROKER]) {
      const reply = await ask(responder, name);
      assert.ok(reply);
      const { addresses, ...rest } = reply;
      assert.deepEqual(rest, {
        form: 'keyed',
        id: 'registry-1',
        instance: 'this-process',
        port: 20443,
        fingerprint,
      });
      assert.ok(addresses.includes('127.0.0.1'), addresses.join());
    }
    assert.equal(await ask(responder, 'bar'), undefined);
  });

  it('row "downgrade": ignores the open form, counts it, and says so once', async () => {
    const lines: string[] = [];
    const warn = (message: string): void => void lines.push(message);
    const { responder, asked } = await start(key, { log: { ...silentLogger, warn } });
    const client = await clientOf(responder);
    for (const query of ['foo\n', '\n', 'foo', 'bar\n']) client.send(query);
    await received(responder, 4);
    const { open: ignored, answered } = responder.stats();
    assert.deepEqual([ignored, answered, asked], [4, 0, []]);
    assert.deepEqual(lines, ['Discovery ignored a query in the open form: this broker has a key']);
  });

  it('row "probing for names": does not ask the registry, nor answer, before the key has been seen to be right', async () => {
    const { responder, asked } = await start();
    const client = await clientOf(responder);
    const right = queryOf(keyedQuestion('foo', key));
    const garbled = Uint8Array.from(right);
    garbled[100] = 0;
    const short = right.subarray(0, 511);
    const wrong = queryOf(keyedQuestion('foo', newKey()));
    for (const datagram of [
      garbled,
      wrong,
      short,
      Buffer.concat([right, Buffer.from(' ')]),
      randomBytes(512),
    ])
      client.send(datagram);
    await received(responder, 5);
    const { unauthenticated, malformed, answered } = responder.stats();
    assert.deepEqual([unauthenticated, malformed, answered, asked], [2, 3, 0, []]);
    assert.deepEqual(client.answers, []);
  });

  it('row "key rotation": takes any key of a list, and answers each with the one it was asked with', async () => {
    const former = newKey();
    const { responder } = await start([key, former]);
    assert.ok(await ask(responder, 'foo'));
    assert.ok(await ask(responder, 'foo', former));
    assert.equal(await ask(responder, 'foo', newKey()), undefined);
  });

  it('row "replay": answers a query once, wherever it is sent from again, and what it answers fits that query alone', async () => {
    const { responder } = await start();
    const client = await clientOf(responder);
    const question = keyedQuestion('foo', key);
    const query = queryOf(question);
    client.send(query);
    const answer = await waitFor('the answer', () => client.answers[0]);
    const replayer = await clientOf(responder);
    replayer.send(query);
    replayer.send(answer);
    await received(responder, 3);
    assert.deepEqual([responder.stats().answered, responder.stats().repeated, replayer.answers], [1, 1, []]);
    const later = keyedQuestion('foo', key);
    queryOf(later);
    assert.equal(later.read(answer), undefined);
    assert.ok(question.read(answer));
    assert.equal(question.read(answer), undefined, 'one reply of a broker to a query');
  });

  it('row "reflection": keeps to 10 answers a second to one source', async () => {
    const { responder } = await start();
    const began = performance.now();
    const clients = await Promise.all(Array.from({ length: 20 }, () => clientOf(responder)));
    for (const client of clients) client.send(queryOf(keyedQuestion('foo', key)));
    await received(responder, 20);
    const { answered, limited } = responder.stats();
    if (performance.now() - began < 1000) assert.deepEqual([answered, limited], [10, 10]);
  });

  it('says nothing before it can be reached', async () => {
    const config = { ...defaults, discover: { _access_key: key } };
    const discovery = createKeyedDiscovery({ config, id: 'x', instance: 'y' });
    const query = queryOf(keyedQuestion('foo', key));
    assert.equal(discovery?.exchange(query, '127.0.0.1'), undefined);
    assert.equal(createKeyedDiscovery({ config: defaults, id: 'x', instance: 'y' }), undefined);
  });

  it('hides an id that would take the room of the addresses', async () => {
    const question = keyedQuestion(ANY_BROKER, key);
    const answer = keyed(key, 'x'.repeat(1000)).exchange(queryOf(question), '127.0.0.1');
    const reply = question.read(answer ?? new Uint8Array());
    assert.ok(reply?.form === 'keyed');
    assert.match(reply.id, /^[0-9a-f]{16}$/);
    assert.ok(reply.addresses.length > 0);
  });
});

describe('a keyed question', () => {
  it('row "replay": has a nonce of its own for each query, and takes an answer for two seconds', (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => now);
    const question = keyedQuestion(ANY_BROKER, key);
    const queries = [queryOf(question), queryOf(question)];
    assert.notDeepEqual(queries[0], queries[1]);
    const { form } = keyed(key);
    const answers = queries.map((query) => {
      const read = form.read(query);
      return typeof read === 'string' ? undefined : read.reply('127.0.0.1');
    });
    now = 2000;
    assert.ok(question.read(answers[0] ?? new Uint8Array()));
    now = 2001;
    assert.equal(question.read(answers[1] ?? new Uint8Array()), undefined);
  });
});
