import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** One kind of request, as a script for `wrk`. */
export interface Load {
  readonly name: string;
  readonly lua: string;
}

export interface Measurement {
  readonly requestsPerSecond: number;
  /** CPU time of the server for one request, in microseconds, all of its threads together. */
  readonly cpuMicros: number;
  /** Answers with another status than 2xx, and broken connections. */
  readonly errors: number;
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
    errors: statuses + broken.reduce((sum, n) => sum + Number(n), 0),
  };
}

/** User and system time of a process so far (proc(5), `stat`); the clock tick of Linux is 10 ms. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
