import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { cpuSeconds, type Measurement } from './cpu.ts';

/** One kind of request, as a script for `wrk`. */
export interface Load {
  readonly name: string;
  readonly lua: string;
}

const post = (path_: string, body: string): string =>
  `wrk.method = "POST"; wrk.path = "${path_}"; wrk.headers["Content-Type"] = "application/json"; wrk.body = '${body}'`;

/** A name of its own for every registration, also across runs: seeded by the clock and the address of a table. */
const registrations = `
local id = string.format("%d%s", os.time(), tostring({}):sub(8))
local n = 0
local data = string.rep("x", 100)
request = function()
  n = n + 1
  return wrk.format("POST", "/services/Register", { ["Content-Type"] = "application/json" },
    '{"name":"' .. id .. "-" .. n .. '","data":"' .. data .. '"}')
end`;

export const loads: Readonly<Record<'hello' | 'getByQuery' | 'get' | 'register', Load>> = {
  hello: { name: 'bare Hono hello', lua: '' },
  getByQuery: { name: 'get, query string', lua: 'wrk.path = "/services/Get?name=bench"' },
  get: { name: 'get, JSON body', lua: post('/services/Get', '{"name":"bench"}') },
  register: { name: 'durable register, 100 bytes', lua: registrations },
};

/** Loads a server on loopback for a bounded time. Throws when `wrk` fails. */
export function measure(
  load: Load,
  server: { readonly port: number; readonly pid: number },
  options: { readonly connections: number; readonly seconds: number; readonly dir: string },
): Measurement {
  const script = path.join(options.dir, 'load.lua');
  writeFileSync(script, load.lua);
  const before = cpuSeconds(server.pid);
  const { stdout, stderr, status } = spawnSync(
    'wrk',
    [
      '-t1',
      '--latency',
      `-c${options.connections}`,
      `-d${options.seconds}s`,
      '-s',
      script,
      `https://127.0.0.1:${server.port}/`,
    ],
    { encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`wrk failed: ${stderr}${stdout}`);
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  const statuses = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0);
  const broken =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(stdout)?.slice(1) ?? [];
  return {
    requestsPerSecond: Number(/Requests\/sec:\s+([\d.]+)/.exec(stdout)?.[1]),
    cpuMicros: ((cpuSeconds(server.pid) - before) / requests) * 1e6,
    p99Ms: milliseconds(/99%\s+([\d.]+)(us|ms|s)/.exec(stdout)),
    errors: statuses + broken.reduce((sum, n) => sum + Number(n), 0),
  };
}

function milliseconds(found: RegExpExecArray | null): number {
  const units: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1000 };
  return Number(found?.[1]) * (units[found?.[2] ?? ''] ?? Number.NaN);
}
