import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { createKeyedDiscovery } from '../../../src/broker/discovery/keyed-discovery.ts';
import {
  type Responder,
  type ResponderOptions,
  startResponder,
} from '../../../src/broker/discovery/responder.ts';
import { defaults } from '../../../src/config/schema.ts';
import { encodeQuery } from '../../../src/protocol/discovery/datagrams.ts';
import {
  decodeKeyedQuery,
  decodeKeyedReply,
  deriveKeys,
  encodeKeyedQuery,
  encodeKeyedReply,
  formatNonce,
  nonceOfReply,
} from '../../../src/protocol/discovery/keyed-datagrams.ts';
import { silentLogger } from '../../../src/protocol/logger.ts';
import { chooseSeed, createRandom, type Random } from '../../support/random.ts';

/** Random and mutated datagrams into the real responder, through real sockets. `BPBROKER_LONG=1`: a million of them. */
const total = process.env['BPBROKER_LONG'] === '1' ? 1_000_000 : 6000;
/** Half of the memory that the system keeps for a socket, at least: none is lost on the way. */
const BATCH = 24;
const MAX_GROWTH = 8 * 1024 * 1024;

const key = '0123456789abcdef'.repeat(4);
const keys = deriveKeys(key);
const otherKeys = deriveKeys('fedcba9876543210'.repeat(4));
const fingerprint = 'ab'.repeat(32);
const held = 'foo';

const open: { close(): unknown }[] = [];
after(async () => {
  for (const one of open) await one.close();
});

const text = (datagram: string): Uint8Array => new Uint8Array(Buffer.from(datagram, 'utf8'));

/** A query as a client makes it, of a broker's own key or of another. */
function query(random: Random, own: boolean): Uint8Array {
  const name = random.pick([held, held, 'bar', '', '"'.repeat(512)]);
  const nonce = formatNonce(random.bytes(16));
  // Some are too old, some ask for a challenge.
  const asked = random.pick([
    { name, nonce, time: Date.now() },
    { name, nonce, time: Date.now() },
    { name, nonce, time: Date.now() - 60_000 },
    { nonce, challenge: '' as const },
  ]);
  return encodeKeyedQuery(own ? keys : otherKeys, asked);
}

/** Anything at all, but with the right MAC: a holder of the key may be faulty as well. */
function signedGarbage(random: Random): Uint8Array {
  const json = random.pick([
    '['.repeat(400),
    '{"versions":[2],"name":"foo","nonce":null}',
    `{"versions":[2],"nonce":"${'0'.repeat(32)}","name":"_access_key"}`,
    '{"__proto__":{"versions":[2]}}',
    Buffer.from(random.bytes(100)).toString('latin1').slice(0, 60),
  ]);
  const body = Buffer.alloc(440, ' ');
  body.write(json, 'utf8');
  const mac = createHmac('sha256', keys.query).update(body).digest('hex');
  return new Uint8Array(Buffer.concat([Buffer.from(`BPD2 q ${mac}\n`), body]));
}

function mutate(random: Random, datagram: Uint8Array): Uint8Array {
  let bytes = Uint8Array.from(datagram);
  const splice = (at: number, removed: number, added: number): void => {
    const rest = bytes.subarray(Math.min(at + removed, bytes.length));
    bytes = new Uint8Array(Buffer.concat([bytes.subarray(0, at), random.bytes(added), rest]));
  };
  for (let n = random.below(4); n >= 0; n--) {
    const at = random.below(bytes.length + 1);
    const change = random.below(5);
    if (change === 0) splice(at, 1, 1);
    else if (change === 1) splice(at, random.below(8), random.below(8));
    else if (change === 2) splice(at, bytes.length, 0);
    else if (change === 3) splice(bytes.length, 0, random.below(600));
    else if (bytes.length > 0) {
      const early = at % Math.min(80, bytes.length);
      bytes[early] = (bytes[early] ?? 0) ^ (1 << random.below(8));
    }
  }
  return bytes;
}

function makeDatagram(random: Random): Uint8Array {
  const kind = random.below(100);
  if (kind < 20) return random.bytes(random.below(random.below(20) === 0 ? 2000 : 80));
  if (kind < 25) return random.bytes(random.pick([512, 1280]));
  if (kind < 55) return mutate(random, query(random, true));
  if (kind < 65) return query(random, false);
  if (kind < 72) return signedGarbage(random);
  if (kind < 80) return encodeQuery(random.pick([held, 'bar', '']));
  if (kind < 88) return mutate(random, encodeQuery(random.pick([held, 'bar', '', 'x'.repeat(512)])));
  if (kind < 92) return mutate(random, text('Key Exists\n'));
  const asked = { datagram: query(random, true), nonce: formatNonce(random.bytes(16)) };
  const reply = encodeKeyedReply(keys, asked, { id: 'x', port: 1, addresses: ['10.0.0.1'], fingerprint });
  if (kind < 96) return random.below(2) === 0 ? reply : mutate(random, reply);
  return asked.datagram;
}

interface Run {
  readonly responder: Responder;
  readonly answers: number;
  /** Those of them that nobody may be given. */
  readonly wrong: readonly string[];
  /** Bytes of memory that the run left behind after its first tenth. */
  readonly growth: number;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Memory in use, buffers and all, once what is not needed any more has been given back. */
async function memory(): Promise<number> {
  // Buffers are given back in a turn of their own after they were found to be unused.
  for (let n = 0; n < 4; n++) {
    collect();
    await turn();
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** @param isRight says of an answer whether it may be given, by the queries of late that may be answered. */
async function fuzz(
  seed: number,
  form: Pick<ResponderOptions, 'form'>,
  isRight: (answer: Uint8Array, rightful: ReadonlyMap<string, Uint8Array>) => boolean,
): Promise<Run> {
  const has = (name: string): Promise<boolean> => Promise.resolve(name === held);
  const responder = await startResponder({ listenIp: '127.0.0.1', port: 0, has, log: silentLogger, ...form });
  open.push(responder);
  const rightful = new Map<string, Uint8Array>();
  const wrong: string[] = [];
  let answers = 0;
  const sockets: Socket[] = [];
  for (let n = 0; n < 8; n++) {
    const socket = createSocket('udp4');
    // On Linux each is a source of its own, with limits of its own.
    socket.bind(0, process.platform === 'linux' ? `127.0.1.${n + 1}` : '127.0.0.1');
    await once(socket, 'listening');
    socket.on('message', (message) => {
      answers += 1;
      if (!isRight(new Uint8Array(message), rightful)) wrong.push(message.toString('base64'));
    });
    sockets.push(socket);
    open.push(socket);
  }
  const random = createRandom(seed);
  let start = 0;
  for (let sent = 0; sent < total; sent += BATCH) {
    if (start === 0 && sent >= total / 10) start = await memory();
    for (let n = 0; n < BATCH; n++) {
      const datagram = makeDatagram(random);
      const read = decodeKeyedQuery([keys], datagram);
      if (typeof read !== 'string' && !('time' in read && Date.now() - read.time > 30_000))
        rightful.set(read.nonce, datagram);
      sockets[random.below(sockets.length)]?.send(datagram, responder.port, '127.0.0.1');
    }
    const until = performance.now() + 200;
    while (responder.stats().received < sent + BATCH && performance.now() < until) await turn();
    for (const nonce of rightful.keys()) {
      if (rightful.size <= 1000) break;
      rightful.delete(nonce);
    }
  }
  return { responder, answers, wrong, growth: (await memory()) - start };
}

describe(`the responder, given ${total} datagrams of any kind`, () => {
  it('row "garbage": answers none but queries made with its key, in the keyed form', async (t) => {
    const seed = chooseSeed();
    t.diagnostic(`seed ${seed} (BPBROKER_SEED)`);
    const config = { ...defaults, discover: { _access_key: key } };
    const discovery = createKeyedDiscovery({ config, id: 'x', instance: 'x' });
    assert.ok(discovery);
    discovery.announce({ port: 20443, fingerprint });
    const { form } = discovery;
    const { responder, answers, wrong, growth } = await fuzz(seed, { form }, (answer, rightful) => {
      const nonce = nonceOfReply(answer) ?? '';
      const datagram = rightful.get(nonce);
      return datagram !== undefined && decodeKeyedReply(keys, { datagram, nonce }, answer) !== undefined;
    });
    const stats = responder.stats();
    t.diagnostic(JSON.stringify({ ...stats, answers, wrong: wrong.length, growth: growth }));
    assert.deepEqual(wrong, []);
    assert.ok(stats.received >= total * 0.99, 'they arrived');
    assert.ok(answers > 0 && stats.unauthenticated > 0 && stats.open > 0 && stats.malformed > 0);
    assert.ok(growth < MAX_GROWTH, `memory grew by ${growth} bytes`);
  });

  it("answers with the original's text alone, in the open form", async (t) => {
    const seed = chooseSeed();
    t.diagnostic(`seed ${seed} (BPBROKER_SEED)`);
    const isReply = (answer: Uint8Array): boolean => Buffer.from(answer).toString() === 'Key Exists\n';
    const { responder, answers, wrong, growth } = await fuzz(seed, {}, isReply);
    const stats = responder.stats();
    t.diagnostic(JSON.stringify({ ...stats, answers, wrong: wrong.length, growth: growth }));
    assert.deepEqual(wrong, []);
    assert.ok(stats.received >= total * 0.99 && answers > 0);
    assert.ok(growth < MAX_GROWTH, `memory grew by ${growth} bytes`);
  });
});
