import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root, tool } from '../../build/root.ts';
import { connect } from '../../src/client/client.ts';
import { waitFor } from '../support/wait.ts';
import { type Load, loads, measure, type Measurement } from './wrk.ts';

/**
 * `npm run bench [-- bun|node|deno]`: durable registrations and gets over TLS against a bare Hono hello on the same
 * runtime, in turn, so that the ratios hold where the machine's speed drifts. Needs Linux and `wrk`.
 */

const ROUNDS = 3;
const SECONDS = 3;
const runtimeName = process.argv[2] ?? 'bun';
const commands: Readonly<Record<string, readonly [string, ...string[]]>> = {
  bun: [tool('bun')],
  node: [tool('node')],
  deno: [tool('deno'), 'run', '-A', '--no-lock'],
};

async function main(): Promise<void> {
  if (spawnSync('wrk', ['-v']).error) {
    throw new Error("The benchmark needs the program 'wrk' (Debian: apt-get install wrk)");
  }
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-bench-'));
  const file = path.join(dir, 'bpbroker.json');
  const broker = await start(runtimeName, 'src/cli/bpbroker.ts', [
    'start',
    '--config',
    file,
    '--listen-port',
    '0',
    '--listen-ip',
    '127.0.0.1',
  ]);
  const certificate = [path.join(dir, 'bpbroker.crt'), path.join(dir, 'bpbroker.key')];
  const hello = await start(runtimeName, 'test/bench/hello.ts', certificate);
  try {
    const knownBrokers = path.join(dir, 'known_brokers');
    const client = await connect({ broker: { host: '127.0.0.1', port: broker.port }, knownBrokers });
    await client.replace('bench', 'x'.repeat(100));
    client.close();
    for (const connections of [64, 1]) report(connections, compare({ hello, broker }, connections, dir));
  } finally {
    await Promise.all([hello.stop(), broker.stop()]);
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Server {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

/** Starts a program of this project; its port stands in its ready line, on either stream. */
async function start(name: string, program: string, args: readonly string[]): Promise<Server> {
  const runtime = commands[name];
  if (!runtime) throw new Error(`No runtime '${name}'; there are ${Object.keys(commands).join(', ')}`);
  const [file, ...flags] = runtime;
  const child = spawn(file, [...flags, path.join(root, program), ...args], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const port = await waitFor(`the port of ${program}`, () => /^ready: (?:\S+:)?(\d+)\b/m.exec(printed)?.[1]);
  return {
    port: Number(port),
    pid: child.pid ?? 0,
    async stop() {
      child.kill();
      await ended;
    },
  };
}

function compare(
  { hello, broker }: { readonly hello: Server; readonly broker: Server },
  connections: number,
  dir: string,
): Map<Load, Measurement[]> {
  const results = new Map<Load, Measurement[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const load of Object.values(loads)) {
      const server = load === loads.hello ? hello : broker;
      const measured = measure(load, server, { connections, seconds: SECONDS, dir });
      results.set(load, [...(results.get(load) ?? []), measured]);
    }
  }
  return results;
}

function report(connections: number, results: Map<Load, Measurement[]>): void {
  const yardstick = results.get(loads.hello) ?? [];
  process.stdout.write(
    `\n${runtimeName}, ${connections} connection${connections === 1 ? '' : 's'}, TLS, medians of ${ROUNDS} × ${SECONDS} s\n`,
  );
  process.stdout.write(
    `${'request'.padEnd(30)}${'per second'.padStart(12)}${'of hello'.padStart(10)}${'CPU µs'.padStart(9)}${'errors'.padStart(8)}\n`,
  );
  for (const [load, measured] of results) {
    // Each round against the hello of the same round.
    const ratio = median(
      measured.map((one, i) => one.requestsPerSecond / (yardstick[i]?.requestsPerSecond ?? Number.NaN)),
    );
    const cells = [
      load.name.padEnd(30),
      Math.round(median(measured.map((one) => one.requestsPerSecond)))
        .toLocaleString('en')
        .padStart(12),
      ratio.toFixed(2).padStart(10),
      median(measured.map((one) => one.cpuMicros))
        .toFixed(1)
        .padStart(9),
      String(measured.reduce((sum, one) => sum + one.errors, 0)).padStart(8),
    ];
    process.stdout.write(`${cells.join('')}\n`);
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

await main();
