import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { root, tool } from '../../../build/root.ts';
import { type BrokerClient, connect } from '../../../src/client/client.ts';
import { writeRegistry } from '../../support/registry/registry-file.ts';
import { waitFor } from '../../support/wait.ts';

const commands: Readonly<Record<string, readonly [string, ...string[]]>> = {
  executable: [path.join(root, 'dist/bpbroker')],
  node: [tool('node'), path.join(root, 'dist/npm/cli/bpbroker.js')],
  bun: [tool('bun'), path.join(root, 'src/cli/bpbroker.ts')],
};
const START_MS = 300_000;
const CLIENTS = 4;
export const CONNECTIONS = 64;

/** A broker with a registry of its own. */
export interface Started {
  readonly child: ChildProcess;
  readonly port: number;
  readonly readyMs: number;
  /** What it holds in memory now, in bytes. */
  residentBytes(): number;
  /** CPU time so far, all threads, kernel time included, in seconds. */
  cpuSeconds(): number;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export const nameOf = (i: number): string => `apps/web-${String(i).padStart(8, '0')}`;
export const dataOf = (i: number): Record<string, string | number> => ({
  host: `node-${i}.example.com`,
  port: 8000 + (i % 1000),
  role: 'web',
  zone: `zone-${i % 7}`,
  state: 'ready',
  version: `1.${i % 100}.0`,
  token: `t-${i * 7919}`,
});

/** Writes a registry's file. Returns the bytes of an entry's line. */
export function generate(file: string, count: number, backupSeconds = 0): number {
  const options = {
    api: { listen_port: 0, listen_ip: '127.0.0.1' },
    ping: {},
    services: {},
    _config: { backup_freq_secs: backupSeconds, backup_retain_n: 2 },
    _store: { max_bytes: 64 * 1024 ** 3 },
  };
  writeRegistry({ file, count, nameOf, dataOf, options });
  const lines = readFileSync(file)
    .subarray(0, 1024 * 1024)
    .toString()
    .split('\n');
  const one = lines.find((line) => line.includes(nameOf(Math.min(1000, count - 1))));
  return Buffer.byteLength(one?.trim() ?? '');
}

export async function start(how: string, file: string): Promise<Started> {
  const [command, ...words] = commands[how] ?? ['no such runtime'];
  const began = performance.now();
  const dir = path.dirname(file);
  const env = { PATH: process.env['PATH'] ?? '', HOME: dir, BPBROKER_HOME: dir, BPBROKER_INTERFACES: 'lo' };
  const child = spawn(command, [...words, 'start', '--config', file], {
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = once(child, 'exit');
  let printed = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const port = await waitFor('the broker', () => /^ready: \S+:(\d+)\b/m.exec(printed)?.[1], START_MS);
  const readyMs = performance.now() - began;
  const proc = (name: string): string => readFileSync(`/proc/${child.pid}/${name}`, 'utf8');
  return {
    child,
    port: Number(port),
    readyMs,
    residentBytes: () => Number(/VmRSS:\s+(\d+)/.exec(proc('status'))?.[1]) * 1024,
    cpuSeconds() {
      // proc(5): the clock tick of Linux is 10 ms.
      const fields = proc('stat').split(') ').at(-1)?.split(' ') ?? [];
      return (Number(fields[11]) + Number(fields[12])) / 100;
    },
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      await ended;
    },
  };
}

/**
 * Clients of a broker that do so much at a time, each time with the next number, until they are stopped.
 * Returns each one's milliseconds.
 */
export async function load(
  file: string,
  { port }: Started,
  work: (client: BrokerClient, i: number) => Promise<unknown>,
  until: (done: number) => boolean,
  connections: number = CONNECTIONS,
): Promise<number[]> {
  const knownBrokers = path.join(path.dirname(file), 'known_brokers');
  const clients = await Promise.all(
    Array.from({ length: CLIENTS }, () => connect({ broker: { host: '127.0.0.1', port }, knownBrokers })),
  );
  const times: number[] = [];
  let next = 0;
  const run = async (client: BrokerClient): Promise<void> => {
    while (!until(next)) {
      const i = next++;
      const began = performance.now();
      await work(client, i);
      times.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: connections }, (_, i) => run(clients[i % CLIENTS] ?? clients[0]!)));
  for (const client of clients) client.close();
  return times;
}

/** Registers new entries until it is stopped, or so many. Returns each one's milliseconds. */
export function register(
  file: string,
  broker: Started,
  prefix: string,
  until: (done: number) => boolean,
): Promise<number[]> {
  return load(file, broker, (client, i) => client.register(`${prefix}${i}`, dataOf(i)), until);
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

export function say(what: string, found: string): void {
  process.stdout.write(`${what.padEnd(42)}${found}\n`);
}
