import { randomBytes, randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { encodeQuery } from '../../../src/protocol/discovery/datagrams.ts';
import { keyedQuestion } from '../../../src/protocol/discovery/keyed-forms.ts';
import type { FloodKind, FloodOptions } from './flood.ts';

/**
 * Datagrams for discovery, at a steady rate until it is ended. Its argument is {@link FloodOptions} as JSON. It says `ready` once it
 * sends, and when it is asked to end how many it sent in a second.
 */
const {
  port,
  perSecond,
  kind,
  name = '',
  key = '',
  from,
} = JSON.parse(process.argv[2] ?? '') as FloodOptions;
const TICK_MS = 5;
/** Beyond what the machine can send, nothing is owed. */
const MOST_AT_ONCE = (perSecond * 100) / 1000;
const KINDS = 256;

const kinds: Readonly<Record<FloodKind, () => readonly Uint8Array[]>> = {
  garbage: () => many((i) => (i % 2 === 0 ? randomBytes(randomInt(1, 512)) : lookalike())),
  'names not held': () => many((i) => encodeQuery(`nobody/${i}`)),
  'valid queries': () => [encodeQuery(name)],
  'short valid queries': () => [Buffer.from(`${name}\n`)],
  'captured queries': () => keyedQuestion(name, key).queries(0),
};

function many(make: (i: number) => Uint8Array): Uint8Array[] {
  return Array.from({ length: KINDS }, (_, i) => make(i));
}

/** Looks like a keyed query, whose MAC must be computed before it is known to be none. */
function lookalike(): Buffer {
  const datagram = Buffer.alloc(512, ' ');
  datagram.write(`BPD2 q ${randomBytes(32).toString('hex')}\n{"versions":[2]}`, 'latin1');
  return datagram;
}

const datagrams = kinds[kind]();
const sockets = from.map((address) => {
  const socket = createSocket('udp4');
  socket.on('error', (error) => process.stderr.write(`${String(error)}\n`));
  socket.bind(0, address);
  return socket;
});
await Promise.all(sockets.map((socket) => once(socket, 'listening')));

const began = performance.now();
let due = 0;
let sent = 0;
setInterval(() => {
  const now = ((performance.now() - began) * perSecond) / 1000;
  const owed = Math.round(Math.min(now - due, MOST_AT_ONCE));
  due = now;
  for (let i = 0; i < owed; i++, sent++)
    sockets[sent % sockets.length]?.send(datagrams[sent % datagrams.length] ?? '', port, '127.0.0.1');
}, TICK_MS);
process.once('disconnect', () => process.exit());
process.send?.('ready');
process.on('message', () => {
  process.send?.((sent * 1000) / (performance.now() - began), () => process.exit(0));
});
