import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root, tool } from '../../build/root.ts';
import { lacking } from '../support/programs/tools.ts';
import { type CommandLine, type Server, startServer } from './server.ts';
import { type Load, loads, measure } from './wrk.ts';

/**
 * `npm run bench:audit [-- bun|node|deno]`: what an audit trail costs. Brokers with a trail in a file, with one that must be written, and
 * without one, in turn, in one run. Needs Linux and `wrk`.
 */

const ROUNDS = 11;
const SECONDS = 1;
const how = process.argv[2] ?? 'bun';
const program = path.join(root, 'src/cli/bpbroker.ts');
const commands: Readonly<Record<string, CommandLine>> = {
  bun: [tool('bun'), program],
  node: [tool('node'), program],
  deno: [tool('deno'), 'run', '-A', '--no-lock', program],
};
/** The first is what the others are held against. */
const trails: Readonly<Record<string, object>> = {
  'no trail': {},
  'no trail, once more': {},
  'a file': { _audit: { to: 'file' } },
  'a file, required, with data': { _audit: { to: 'file', required: true, data: true } },
};

async function main(): Promise<void> {
  const missing = lacking('wrk');
  if (missing !== false) throw new Error(`The benchmark ${missing} (Debian: apt-get install wrk)`);
  const command = commands[how];
  if (!command) throw new Error(`No way to run '${how}'; there are ${Object.keys(commands).join(', ')}`);
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-bench-'));
  const servers = new Map<string, Server>();
  try {
    for (const [index, [name, config]] of Object.entries(trails).entries())
      servers.set(name, await startBroker(command, path.join(dir, String(index)), config));
    for (const load of [loads.register, loads.getByQuery]) compare(load, servers, dir);
  } finally {
    for (const server of servers.values()) await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function startBroker(command: CommandLine, dir: string, config: object): Promise<Server> {
  mkdirSync(dir);
  const file = path.join(dir, 'bpbroker.json');
  const services = { bench: { _str: 'x'.repeat(100), last_write_ip: '127.0.0.1', last_write_ts: 1 } };
  const api = { listen_port: 0, listen_ip: '127.0.0.1' };
  writeFileSync(file, JSON.stringify({ api, services, ...config }), { mode: 0o600 });
  return await startServer([...command, 'start', '--config', file], /^ready: \S+:(\d+)/m, { cwd: root });
}

/** Prints each broker's medians of what it does against the first, with the middle half. */
function compare(load: Load, servers: ReadonlyMap<string, Server>, dir: string): void {
  const names = [...servers.keys()];
  const rates = new Map(names.map((name) => [name, [] as number[]]));
  const cpu = new Map(names.map((name) => [name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round++) {
    // Another one comes first in each round.
    const order = names.map((_, i) => names[(i + round) % names.length] ?? '');
    for (const name of order) {
      const server = servers.get(name);
      if (!server) throw new Error(`no server: ${name}`);
      const { errors, requestsPerSecond, cpuMicros } = measure(load, server, {
        connections: 64,
        seconds: SECONDS,
        dir,
      });
      if (errors > 0) throw new Error(`${errors} requests failed`);
      rates.get(name)?.push(requestsPerSecond);
      cpu.get(name)?.push(cpuMicros);
    }
  }
  const [first = ''] = names;
  for (const name of names.slice(1)) {
    const [rate, each] = [rates, cpu].map((all) =>
      spread((all.get(name) ?? []).map((value, round) => value / (all.get(first)?.[round] ?? Number.NaN))),
    );
    process.stdout.write(`${how}: ${load.name}, ${name}: per second ${rate}; CPU of each ${each}\n`);
  }
}

/** The median, with the middle half of the values. */
function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): string => (sorted[Math.floor(part * (sorted.length - 1))] ?? 0).toFixed(3);
  return `${at(0.5)} (${at(0.25)} to ${at(0.75)})`;
}

await main();
