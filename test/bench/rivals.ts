import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import path from 'node:path';
import { lacking } from '../support/programs/tools.ts';
import { cpuSeconds, type Measurement } from './cpu.ts';
import { freePort } from '../support/network/free-port.ts';
import { type Server, startServer } from './server.ts';

/**
 * Alternatives for an installer's entries: Redis with its own client, and etcd under `h2load` with a prepared
 * message of gRPC. Both run over TLS with the broker's certificate, with each write on the disk before its
 * answer.
 */
export interface Rival {
  readonly name: string;
  readonly server: Server;
  /** By the name of the load. */
  readonly loads: Readonly<Record<string, (connections: number, seconds: number) => Measurement>>;
}

export interface RivalSetup {
  readonly dir: string;
  /** PEM files of the certificate and its key. */
  readonly certificate: readonly [string, string];
}

/** What is stored: 100 bytes, as a registration's. */
const VALUE = 'x'.repeat(100);

/** Redis, or why it is not measured. */
export async function startRedis({ dir, certificate }: RivalSetup): Promise<Rival | string> {
  const missing = lacking('redis-server', 'redis-benchmark');
  if (missing !== false) return missing;
  const [cert, key] = certificate;
  const port = await freePort();
  const data = path.join(dir, 'redis');
  mkdirSync(data);
  const tls = ['--port', '0', '--tls-port', `${port}`, '--tls-cert-file', cert, '--tls-key-file', key];
  const client = ['--tls-auth-clients', 'no', '--bind', '127.0.0.1'];
  const disk = ['--dir', data, '--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
  const server = await startServer(['redis-server', ...tls, ...client, ...disk], /Ready to accept/, { port });
  /** Its client takes a number of requests and no time: about as many as fit, by the rate of the run before. */
  const rates = new Map<string, number>();
  const load =
    (...command: readonly string[]) =>
    (connections: number, seconds: number): Measurement => {
      const id = `${command[0]} ${connections}`;
      const count = Math.max(1000, Math.round((rates.get(id) ?? 1000 * Math.sqrt(connections)) * seconds));
      const before = cpuSeconds(server.pid);
      const { stdout, stderr, status } = spawnSync(
        'redis-benchmark',
        [
          '--tls',
          '--insecure',
          '-p',
          `${port}`,
          '-c',
          `${connections}`,
          '-n',
          `${count}`,
          '-r',
          '1000000000',
          '--csv',
          ...command,
        ],
        { encoding: 'utf8' },
      );
      // The last line: name, requests a second, then latencies in ms: average, least, p50, p95, p99, most.
      const cells = stdout.trim().split('\n').at(-1)?.split('","') ?? [];
      const rate = Number(cells[1]);
      if (status !== 0 || !(rate > 0)) throw new Error(`redis-benchmark failed: ${stderr}${stdout}`);
      rates.set(id, rate);
      return {
        requestsPerSecond: rate,
        cpuMicros: ((cpuSeconds(server.pid) - before) / count) * 1e6,
        errors: 0,
        p99Ms: Number(cells[6]),
      };
    };
  load('SET', 'bench', VALUE)(1, 1);
  const loads = {
    'Redis GET': load('GET', 'bench'),
    'Redis SET NX, 100 bytes': load('SET', 'key:__rand_int__', VALUE, 'NX'),
  };
  return { name: 'Redis', server, loads };
}

/** etcd, or why it is not measured. */
export async function startEtcd({ dir, certificate }: RivalSetup): Promise<Rival | string> {
  const missing = lacking('etcd', 'h2load');
  if (missing !== false) return missing;
  const [cert, key] = certificate;
  const port = await freePort();
  const at = `https://127.0.0.1:${port}`;
  const own = [
    `--data-dir=${path.join(dir, 'etcd')}`,
    `--listen-peer-urls=http://127.0.0.1:${await freePort()}`,
  ];
  const urls = [`--listen-client-urls=${at}`, `--advertise-client-urls=${at}`];
  const tls = [`--cert-file=${cert}`, `--key-file=${key}`];
  const server = await startServer(['etcd', ...own, ...urls, ...tls], /ready to serve client requests/, {
    port,
  });
  const load = (method: string, ...fields: readonly string[]) => {
    const message = path.join(dir, `${method}.grpc`);
    writeFileSync(message, grpcMessage(fields));
    return (connections: number, seconds: number): Measurement => {
      const before = cpuSeconds(server.pid);
      const { stdout, stderr, status } = spawnSync(
        'h2load',
        [
          '-t1',
          '-m1',
          `-c${connections}`,
          '-D',
          `${seconds}`,
          '-d',
          message,
          '-H',
          'content-type: application/grpc',
          '-H',
          'te: trailers',
          `${at}/etcdserverpb.KV/${method}`,
        ],
        { encoding: 'utf8' },
      );
      const [, done = 0, ok = 0] = /requests: .* (\d+) done, (\d+) succeeded/.exec(stdout) ?? [];
      const rate = Number(/finished in .*, ([\d.]+) req\/s/.exec(stdout)?.[1]);
      if (status !== 0 || !(rate > 0)) throw new Error(`h2load failed: ${stderr}${stdout}`);
      const cpuMicros = ((cpuSeconds(server.pid) - before) / Number(done)) * 1e6;
      return { requestsPerSecond: rate, cpuMicros, errors: Number(done) - Number(ok) };
    };
  };
  const put = load('Put', 'bench', VALUE);
  // A failure of gRPC has the status 200 as well: what was put must be there, as often as it was.
  put(1, 1);
  const versions = Number(await versionOf(port, 'bench'));
  if (!(versions > 10)) throw new Error(`etcd took no prepared message: its key has version ${versions}`);
  return {
    name: 'etcd',
    server,
    loads: { 'etcd Range': load('Range', 'bench'), 'etcd Put, 100 bytes': put },
  };
}

/** A message of gRPC whose fields 1, 2, … are these texts, each shorter than 128 bytes. */
export function grpcMessage(fields: readonly string[]): Buffer {
  const body = Buffer.concat(
    fields.map((text, i) =>
      Buffer.concat([Buffer.from([((i + 1) << 3) | 2, text.length]), Buffer.from(text)]),
    ),
  );
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  return Buffer.concat([head, body]);
}

/** How often a key of etcd has been written, by its JSON gateway. */
function versionOf(port: number, key: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const options = {
      host: '127.0.0.1',
      port,
      path: '/v3/kv/range',
      method: 'POST',
      rejectUnauthorized: false,
    };
    const sent = request(options, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.once('end', () => resolve(/"version":"(\d+)"/.exec(text)?.[1]));
    });
    sent.once('error', reject);
    sent.end(JSON.stringify({ key: Buffer.from(key).toString('base64') }));
  });
}
