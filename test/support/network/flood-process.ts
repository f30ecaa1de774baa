import { randomBytes, randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';

/**
 * Garbage for discovery, at a steady rate until it is ended. Arguments: the port, datagrams a second. Half of it is random bytes; half
 * looks like a keyed query, whose MAC must be computed before it is known to be none.
 */
const port = Number(process.argv[2]);
const perSecond = Number(process.argv[3]);
const TICK_MS = 5;
/** Beyond what the machine can send, nothing is owed. */
const MOST_AT_ONCE = (perSecond * 100) / 1000;

const garbage = Array.from({ length: 256 }, (_, i) =>
  i % 2 === 0 ? randomBytes(randomInt(1, 512)) : lookalike(),
);

function lookalike(): Buffer {
  const datagram = Buffer.alloc(512, ' ');
  datagram.write(`BPD2 q ${randomBytes(32).toString('hex')}\n{"versions":[2]}`, 'latin1');
  return datagram;
}

const socket = createSocket('udp4');
socket.on('error', (error) => process.stderr.write(`${String(error)}\n`));
socket.bind(0, '127.200.0.1', () => {
  const began = performance.now();
  let due = 0;
  let sent = 0;
  setInterval(() => {
    const now = ((performance.now() - began) * perSecond) / 1000;
    const owed = Math.min(now - due, MOST_AT_ONCE);
    due = now;
    for (let i = 0; i < Math.round(owed); i++)
      socket.send(garbage[sent++ % garbage.length] ?? '', port, '127.0.0.1');
  }, TICK_MS);
  process.send?.('ready');
  process.on('message', () => {
    process.send?.({ perSecond: (sent * 1000) / (performance.now() - began) }, () => process.exit(0));
  });
});
