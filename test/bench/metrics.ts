import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root, tool } from '../../build/root.ts';
import { writeRegistry } from '../support/registry/registry-file.ts';
import { waitFor } from '../support/wait.ts';
import type { Measurement } from './cpu.ts';
import { type Load, loads, measure } from './wrk.ts';

/**
 * `npm run bench:metrics`: the cost of measuring requests, and of being scraped. The first compares the same
 * API with and without, in turn, in one run. The second scrapes a broker of 10,000 entries 10 times a second.
 * Needs Linux and `wrk`.
 */

const ROUNDS = 21;
const SECONDS = 1;
const ENTRIES = 10_000;
const SCRAPES_PER_SECOND = 10;
const SCRAPED_SECONDS = 10;

interface Server {
  readonly port: number;
  readonly pid: number;
  stop(): Promise<void>;
}

async function main(): Promise<void> {
  if (spawnSync('wrk', ['-v']).error) {
    throw new Error("The benchmark needs the program 'wrk' (Debian: apt-get install wrk)");
  }
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-bench-'));
  try {
    await measureScrapes(dir);
    await measureRequests(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Starts a program of this project on Bun; its port stands in its ready line. */
async function start(program: string, args: readonly string[]): Promise<Server> {
  const child = spawn(tool('bun'), [path.join(root, program), ...args], {
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

/** The part of one core that a broker takes while it is scraped, less what it takes without. */
async function measureScrapes(dir: string): Promise<void> {
  const file = path.join(dir, 'bpbroker.json');
  writeRegistry({
    file,
    count: ENTRIES,
    nameOf: (i) => `host-${i}`,
    dataOf: () => ({ port: 8080, zone: 'a' }),
  });
  const broker = await start('src/cli/bpbroker.ts', ['start', '--config', file]);
  const agent = new Agent({ keepAlive: true, rejectUnauthorized: false });
  try {
    // Each method once, so that each has its series.
    for (const method of ['Register', 'Replace', 'Update', 'Get', 'Renew', 'List', 'Delete', 'None'])
      await get(broker, agent, `/services/${method}?name=bench&data=x`);
    await get(broker, agent, '/ping/Ping');
    const idle = await busyPart(broker, () => sleep(1000));
    let bytes = 0;
    const scraped = await busyPart(broker, async () => {
      for (let i = 0; i < SCRAPES_PER_SECOND; i++) {
        const next = sleep(1000 / SCRAPES_PER_SECOND);
        bytes = await get(broker, agent, '/metrics');
        await next;
      }
    });
    const cost = ((scraped - idle) * 100).toFixed(2);
    process.stdout.write(
      `${ENTRIES} entries, ${SCRAPES_PER_SECOND} scrapes a second of ${bytes} bytes over TLS: ` +
        `${cost} % of a core (${(idle * 100).toFixed(2)} % without)\n`,
    );
  } finally {
    agent.destroy();
    await broker.stop();
  }
}

async function busyPart({ pid }: Server, second: () => Promise<unknown>): Promise<number> {
  const [cpu, began] = [cpuSeconds(pid), performance.now()];
  for (let i = 0; i < SCRAPED_SECONDS; i++) await second();
  return (cpuSeconds(pid) - cpu) / ((performance.now() - began) / 1000);
}

/** User and system time of a process so far (proc(5), `stat`); the clock tick of Linux is 10 ms. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** The bytes of an answer. */
async function get({ port }: Server, agent: Agent, at: string): Promise<number> {
  const sent = request({ host: '127.0.0.1', port, path: at, agent }).end();
  const [response] = (await once(sent, 'response')) as [AsyncIterable<Uint8Array>];
  let bytes = 0;
  for await (const part of response) bytes += part.length;
  return bytes;
}

/** Gets of an API that measures them, against the same one that does not, in the same round. */
async function measureRequests(dir: string): Promise<void> {
  const certificate = [path.join(dir, 'bpbroker.crt'), path.join(dir, 'bpbroker.key')];
  const [measured, plain] = await Promise.all(
    ['measured', 'plain'].map((kind) => start('test/bench/metered.ts', [...certificate, kind])),
  );
  if (!measured || !plain) throw new Error('The servers did not start');
  try {
    for (const load of [loads.getByQuery, loads.get]) {
      const rounds: { readonly rate: number; readonly cpu: number }[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        // Another one comes first in each round.
        const order = round % 2 === 0 ? [measured, plain] : [plain, measured];
        const found = new Map(order.map((server) => [server, loadOnce(load, server, dir)]));
        const [metered, without] = [found.get(measured), found.get(plain)];
        if (!metered || !without) throw new Error('A round is incomplete');
        rounds.push({
          rate: metered.requestsPerSecond / without.requestsPerSecond,
          cpu: metered.cpuMicros / without.cpuMicros,
        });
      }
      const [rate, cpu] = (['rate', 'cpu'] as const).map((what) => spread(rounds.map((one) => one[what])));
      process.stdout.write(`${load.name}, measured against not: per second ${rate}; CPU of each ${cpu}\n`);
    }
  } finally {
    await Promise.all([measured.stop(), plain.stop()]);
  }
}

function loadOnce(load: Load, server: Server, dir: string): Measurement {
  const measurement = measure(load, server, { connections: 64, seconds: SECONDS, dir });
  if (measurement.errors > 0) throw new Error(`${measurement.errors} requests failed`);
  return measurement;
}

/** The median, with the middle half of the values. */
function spread(values: readonly number[]): string {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number): string =>
    (sorted[Math.floor((sorted.length - 1) * part)] ?? Number.NaN).toFixed(3);
  return `${at(0.5)} (${at(0.25)} to ${at(0.75)})`;
}

await main();
