import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { root, tool } from '../../build/root.ts';
import { type BrokerClient, connect } from '../../src/client/client.ts';
import { createPrefixCounts } from '../../src/store/memory/prefix-counts.ts';
import { readDocument, readStored } from '../../src/store/file/document.ts';
import { createTable } from '../../src/store/memory/table.ts';
import { writeRegistry } from '../support/registry-file.ts';
import { waitFor } from '../support/wait.ts';

/**
 * `npm run bench:registry [-- executable|node|bun [ENTRIES]]`: what a large registry costs. Starts after a crash and after a
 * clean stop, memory, registrations with and without backups back to back, and the longest turn of counting a prefix.
 * Needs Linux, and `npm run build` for the executable and Node.
 */

const commands: Readonly<Record<string, readonly [string, ...string[]]>> = {
  executable: [path.join(root, 'dist/bpbroker')],
  node: [tool('node'), path.join(root, 'dist/npm/cli/bpbroker.js')],
  bun: [tool('bun'), path.join(root, 'src/cli/bpbroker.ts')],
};
const how = process.argv[2] ?? 'executable';
const ENTRIES = Number(process.argv[3] ?? 1_000_000);
const RECORDS = 50_000;
const CONNECTIONS = 64;
const SECONDS = 15;
const START_MS = 300_000;

const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-bench-'));
const file = path.join(dir, 'bpbroker.json');

interface Started {
  readonly child: ChildProcess;
  readonly port: number;
  readonly readyMs: number;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const nameOf = (i: number): string => `apps/web-${String(i).padStart(8, '0')}`;
const dataOf = (i: number): Record<string, string | number> => ({
  host: `node-${i}.example.com`,
  port: 8000 + (i % 1000),
  role: 'web',
  zone: `zone-${i % 7}`,
  state: 'ready',
  version: `1.${i % 100}.0`,
  token: `t-${i * 7919}`,
});

/** Gives the bytes of an entry's line. */
function generate(backupSeconds: number): number {
  const options = {
    api: { listen_port: 0, listen_ip: '127.0.0.1' },
    ping: {},
    services: {},
    _config: { backup_freq_secs: backupSeconds, backup_retain_n: 2 },
    _store: { max_bytes: 64 * 1024 ** 3 },
  };
  writeRegistry({ file, count: ENTRIES, nameOf, dataOf, options });
  const lines = readFileSync(file)
    .subarray(0, 1024 * 1024)
    .toString()
    .split('\n');
  return Buffer.byteLength(
    lines.find((line) => line.includes(nameOf(Math.min(1000, ENTRIES - 1))))?.trim() ?? '',
  );
}

async function start(): Promise<Started> {
  const [command, ...words] = commands[how] ?? ['no such runtime'];
  const began = performance.now();
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
  return {
    child,
    port: Number(port),
    readyMs,
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      await ended;
    },
  };
}

function residentBytes({ child }: Started): number {
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
}

/** Registers new entries until told to stop, or so many. Gives each one's milliseconds. */
async function register(
  { port }: Started,
  prefix: string,
  until: (done: number) => boolean,
): Promise<number[]> {
  const knownBrokers = path.join(dir, 'known_brokers');
  const clients = await Promise.all(
    Array.from({ length: 4 }, () => connect({ broker: { host: '127.0.0.1', port }, knownBrokers })),
  );
  const times: number[] = [];
  let next = 0;
  const work = async (client: BrokerClient): Promise<void> => {
    while (!until(next)) {
      const i = next++;
      const began = performance.now();
      await client.register(`${prefix}${i}`, dataOf(i));
      times.push(performance.now() - began);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, (_, i) => work(clients[i % 4] ?? clients[0]!)));
  for (const client of clients) client.close();
  return times;
}

async function load(title: string, broker: Started): Promise<void> {
  const end = performance.now() + SECONDS * 1000;
  const times = await register(broker, title, () => performance.now() > end);
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number): string => (sorted[Math.floor(sorted.length * part)] ?? Number.NaN).toFixed(1);
  const rate = Math.round(times.length / SECONDS).toLocaleString('en');
  say(
    `registrations, ${title}`,
    `${rate}/s, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, longest ${at(0.99999)} ms`,
  );
}

async function longestTurn(): Promise<void> {
  const document = readDocument(await readStored(file), file);
  const table = createTable();
  table.load(document.entries, document.sizes, document.revision);
  const count = createPrefixCounts(table).hold('apps/');
  let longest = 0;
  const state = { isReady: false };
  void count.ready.then(() => (state.isReady = true));
  for (let before = performance.now(); !state.isReady;) {
    await nextTurn();
    const now = performance.now();
    longest = Math.max(longest, now - before);
    before = now;
  }
  say('longest turn of a count with a prefix', `${longest.toFixed(1)} ms (${count.value} entries)`);
}

function say(what: string, found: string): void {
  process.stdout.write(`${what.padEnd(42)}${found}\n`);
}

try {
  const lineBytes = generate(0);
  process.stdout.write(`${how}, ${ENTRIES.toLocaleString('en')} entries, each ${lineBytes} bytes of JSON\n`);
  const clean = await start();
  say('start after a clean stop', `${(clean.readyMs / 1000).toFixed(1)} s`);
  const resident = residentBytes(clean);
  const beyond = Math.round(resident / ENTRIES - lineBytes);
  say('memory', `${Math.round(resident / 1024 ** 2)} MiB, ${beyond} bytes an entry beyond its JSON`);
  await register(clean, 'crash/', (done) => done >= RECORDS);
  await clean.stop('SIGKILL');
  const crashed = await start();
  say(`start after a crash, ${RECORDS} records`, `${(crashed.readyMs / 1000).toFixed(1)} s`);
  await load('no backups', crashed);
  await crashed.stop('SIGKILL');
  for (const name of readdirSync(dir)) if (name.startsWith('bpbroker.json')) rmSync(path.join(dir, name));
  generate(0.001);
  const busy = await start();
  await load('backups back to back', busy);
  say('backups made meanwhile, and kept', String(readdirSync(path.join(dir, 'backups')).length));
  await busy.stop('SIGKILL');
  await longestTurn();
} finally {
  rmSync(dir, { recursive: true, force: true });
}
