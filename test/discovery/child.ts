/**
 * One side of discovery, to be run on a host of a test network. Usage: child.ts responder|finder|original JSON
 * Prints one line of JSON; a responder prints its counters at each line on stdin.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { startResponder } from '../../src/broker/discovery/responder.ts';
import { discover, type DiscoverOptions } from '../../src/client/discovery/finder.ts';
import { silentLogger } from '../../src/protocol/logger.ts';

export interface ResponderArgs {
  readonly names: readonly string[];
  readonly listenIp?: string;
  readonly rescanMs?: number;
  /** What it sends to a client that connects to the TCP port; default: no TCP port. */
  readonly identity?: string;
}

const print = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);

async function respond({ names, listenIp = '', rescanMs = 30_000, identity }: ResponderArgs): Promise<void> {
  const has = (name: string): Promise<boolean> => Promise.resolve(names.includes(name));
  const { stats } = await startResponder({ listenIp, port: 20443, rescanMs, has, log: silentLogger });
  if (identity !== undefined) {
    const server = createServer((socket) => socket.end(identity));
    await once(server.listen(20443, listenIp === '' ? '::' : listenIp), 'listening');
  }
  createInterface(process.stdin).on('line', () => print(stats()));
  print('ready');
}

const identify: DiscoverOptions['identify'] = ({ address, port }, signal) =>
  text(connect({ host: address, port, signal }));

async function find(options: Omit<DiscoverOptions, 'identify'>): Promise<void> {
  try {
    print({ found: await discover({ ...options, identify }) });
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    print({ code, message });
  }
}

/** A client of the original product: one unbound socket, one broadcast to 255.255.255.255. */
async function askAsOriginal(name: string): Promise<void> {
  const socket = createSocket('udp4');
  socket.bind(0);
  await once(socket, 'listening');
  socket.setBroadcast(true);
  const answered = once(socket, 'message').then(([message, { address }]) => `${address} ${message}`);
  const failed = new Promise<string>((resolve) => {
    socket.send(`${name}\n`, 20443, '255.255.255.255', (error) => {
      if (error) resolve((error as NodeJS.ErrnoException).code ?? error.message);
    });
  });
  print(await Promise.race([answered, failed, sleep(2000, 'no answer')]));
  process.exit();
}

const [role, json = ''] = process.argv.slice(2);
const args: unknown = JSON.parse(json);
if (role === 'responder') await respond(args as ResponderArgs);
else if (role === 'finder') await find(args as DiscoverOptions);
else await askAsOriginal(args as string);
