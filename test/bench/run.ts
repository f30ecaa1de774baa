import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../../build/root.ts';
import { launchers, startBroker } from '../support/programs.ts';
import { type Load, loads, measure, type Measurement } from './wrk.ts';

/**
 * `npm run bench [-- bun|node24|deno]`: durable registrations and gets over TLS against a bare Hono hello on the same
 * runtime, in turn, so that the ratios hold where the machine's speed drifts. Needs Linux and `wrk`.
 */

const ROUNDS = 3;
const SECONDS = 3;
const runtimeName = process.argv[2] ?? 'bun';

async function main(): Promise<void> {
  if (spawnSync('wrk', ['-v']).error)
    throw new Error("The benchmark needs the program 'wrk' (Debian: apt-get install wrk)");
  const launcher = launchers.find(({ name }) => name === runtimeName);
  if (!launcher)
    throw new Error(`No runtime '${runtimeName}'; there are ${launchers.map(({ name }) => name).join(', ')}`);
  if (launcher.available !== true) throw new Error(launcher.available);
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-bench-'));
  const broker = await startBroker(launcher, { dir });
  const hello = await startHello(launcher.bpbroker, dir);
  try {
    await broker.client(['service', 'replace', '--name', 'bench', '--data', 'x'.repeat(100)]);
    for (const connections of [64, 1]) {
      const servers = { hello, broker: { port: broker.port, pid: broker.pid } };
      report(connections, compare(servers, connections, dir));
    }
  } finally {
    hello.stop();
    await broker.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Server {
  readonly port: number;
  readonly pid: number;
}

async function startHello(command: readonly string[], dir: string): Promise<Server & { stop(): void }> {
  const runtime = command.slice(0, -1);
  const [program = '', ...args] = [...runtime, path.join(root, 'test/bench/hello.ts')];
  const files = [path.join(dir, 'bpbroker.crt'), path.join(dir, 'bpbroker.key')];
  const child = spawn(program, [...args, ...files], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { port: Number(line.toString()), pid: child.pid ?? 0, stop: () => void child.kill() };
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
