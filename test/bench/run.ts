import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root, tool } from '../../build/root.ts';
import { connect } from '../../src/client/client.ts';
import { lacking } from '../support/programs/tools.ts';
import type { Measurement } from './cpu.ts';
import { startEtcd, startRedis } from './rivals.ts';
import { type CommandLine, type Server, startServer } from './server.ts';
import { loads, measure } from './wrk.ts';

/**
 * `npm run bench [-- executable|bun|node|deno]`: durable registrations and gets over TLS, against a bare Hono
 * hello on the same runtime, Redis and etcd. They run in turn, so that the ratios hold when the machine's
 * speed drifts. Needs Linux, `wrk`, and `npm run build` for the executable; what of Redis and etcd is not
 * installed is left out, and said.
 */

const ROUNDS = 3;
const SECONDS = 3;
const how = process.argv[2] ?? 'executable';
const commands: Readonly<Record<string, CommandLine>> = {
  executable: [path.join(root, 'dist/bpbroker')],
  bun: [tool('bun'), path.join(root, 'src/cli/bpbroker.ts')],
  node: [tool('node'), path.join(root, 'src/cli/bpbroker.ts')],
  deno: [tool('deno'), 'run', '-A', '--no-lock', path.join(root, 'src/cli/bpbroker.ts')],
};
const helloRuntimes: Readonly<Record<string, CommandLine>> = {
  node: [tool('node')],
  deno: [tool('deno'), 'run', '-A', '--no-lock'],
};

/** One load on one server. */
interface Contestant {
  readonly name: string;
  measure(connections: number): Measurement;
}

async function main(): Promise<void> {
  const missing = lacking('wrk');
  if (missing !== false) throw new Error(`The benchmark ${missing} (Debian: apt-get install wrk)`);
  const command = commands[how];
  if (!command) throw new Error(`No way to run '${how}'; there are ${Object.keys(commands).join(', ')}`);
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-bench-'));
  const servers: Server[] = [];
  try {
    const config = ['--config', path.join(dir, 'bpbroker.json')];
    const listen = ['--listen-port', '0', '--listen-ip', '127.0.0.1'];
    const broker = await startServer([...command, 'start', ...config, ...listen], /^ready: \S+:(\d+)/m, {
      cwd: root,
    });
    servers.push(broker);
    const certificate = [path.join(dir, 'bpbroker.crt'), path.join(dir, 'bpbroker.key')] as const;
    const runtime = helloRuntimes[how] ?? [tool('bun')];
    const program = path.join(root, 'test/bench/hello.ts');
    const hello = await startServer([...runtime, program, ...certificate], /^ready: (\d+)/m, { cwd: root });
    servers.push(hello);
    const knownBrokers = path.join(dir, 'known_brokers');
    const client = await connect({ broker: { host: '127.0.0.1', port: broker.port }, knownBrokers });
    await client.replace('bench', 'x'.repeat(100));
    client.close();
    const contestants: Contestant[] = Object.values(loads).map((load) => ({
      name: load.name,
      measure: (connections) =>
        measure(load, load === loads.hello ? hello : broker, { connections, seconds: SECONDS, dir }),
    }));
    for (const [name, start] of Object.entries({ Redis: startRedis, etcd: startEtcd })) {
      const rival = await start({ dir, certificate });
      if (typeof rival === 'string') {
        process.stdout.write(`${name} is left out: ${rival}\n`);
        continue;
      }
      servers.push(rival.server);
      for (const [load, run] of Object.entries(rival.loads))
        contestants.push({ name: load, measure: (connections) => run(connections, SECONDS) });
    }
    for (const connections of [64, 1]) report(connections, compare(contestants, connections));
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Everything in turn, round after round. */
function compare(contestants: readonly Contestant[], connections: number): Map<string, Measurement[]> {
  const results = new Map<string, Measurement[]>();
  for (let round = 0; round < ROUNDS; round++)
    for (const one of contestants)
      results.set(one.name, [...(results.get(one.name) ?? []), one.measure(connections)]);
  return results;
}

/** What is compared besides the hello: one of ours with one of theirs. */
const pairs: readonly (readonly [string, string])[] = [
  [loads.getByQuery.name, 'Redis GET'],
  [loads.get.name, 'Redis GET'],
  [loads.register.name, 'Redis SET NX, 100 bytes'],
  [loads.getByQuery.name, 'etcd Range'],
  [loads.register.name, 'etcd Put, 100 bytes'],
];

const rate = ({ requestsPerSecond }: Measurement): number => requestsPerSecond;
const p99 = ({ p99Ms = Number.NaN }: Measurement): number => p99Ms;

const row = (...cells: readonly string[]): string =>
  `${cells.map((cell, i) => (i === 0 ? cell.padEnd(30) : cell.padStart(11))).join('')}\n`;

function report(connections: number, results: Map<string, Measurement[]>): void {
  const of = (name: string): Measurement[] => results.get(name) ?? [];
  /** Each round against the same round of the other. */
  const ratio = (name: string, to: string, what = rate): string =>
    median(of(name).map((one, i) => what(one) / what(of(to)[i] ?? one))).toFixed(2);

  const many = `${connections} connection${connections === 1 ? '' : 's'}`;
  process.stdout.write(`\n${how}, ${many}, TLS, medians of ${ROUNDS} × ${SECONDS} s\n`);
  process.stdout.write(row('request', 'per second', 'of hello', 'CPU µs', 'p99 ms', 'errors'));
  for (const [name, measured] of results) {
    const perSecond = Math.round(median(measured.map(rate))).toLocaleString('en');
    const cpu = median(measured.map((one) => one.cpuMicros)).toFixed(1);
    const errors = measured.reduce((sum, one) => sum + one.errors, 0);
    const slowest = median(measured.map(p99));
    const shown = Number.isNaN(slowest) ? '–' : slowest.toFixed(2);
    process.stdout.write(row(name, perSecond, ratio(name, loads.hello.name), cpu, shown, String(errors)));
  }
  for (const [ours, theirs] of pairs) {
    if (!results.has(theirs)) continue;
    const slower = ratio(ours, theirs, p99);
    const tail = slower === 'NaN' ? '' : `, p99 ${slower} times as long`;
    process.stdout.write(`${ours}: ${ratio(ours, theirs)} of ${theirs}${tail}\n`);
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

await main();
