import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Cluster } from '../fleet/etcd/cluster.ts';
import { type Cost, sumOf } from '../fleet/process.ts';
import { registerAt } from '../fleet/server.ts';
import { onCluster, onSite, type Site } from '../fleet/site.ts';
import { count, table } from '../fleet/table.ts';
import { grpcMessage } from '../rivals.ts';
import { loads, type Load } from '../wrk.ts';

const CONNECTIONS = 64;
const SECONDS = 3;
const ROUNDS = 3;
const run = promisify(execFile);

/** What one round of a load came to. */
interface Found {
  readonly perSecond: number;
  /** CPU time of one request, in microseconds: of the brokers, and of etcd. */
  readonly brokers: number;
  readonly etcd: number;
  readonly failed: number;
}

/**
 * Registrations and gets a second, at 64 connections in all. Each row has servers of its own; medians of
 * three rounds. Returns how many requests failed.
 */
export async function compareWrites(how: string, say: (text: string) => void): Promise<number> {
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-scale-'));
  try {
    const rows: string[][] = [];
    let failed = 0;
    const add = (title: string, request: string, found: readonly Found[]): void => {
      rows.push(row(title, request, found));
      failed += failedOf(found);
    };
    for (const { title, ...options } of [
      { title: 'one broker, file', brokers: 1, isShared: false },
      { title: 'one broker, etcd', brokers: 1, isShared: true },
      { title: '3 brokers, etcd', brokers: 3, isShared: true },
      { title: '3 registries, one etcd', brokers: 3, isShared: true, isSplit: true },
    ])
      await onSite({ how, say, ...options }, async (site) => {
        // The entry that gets ask for.
        const holders = 'isSplit' in options ? site.brokers : site.brokers.slice(0, 1);
        for (const broker of holders) await registerAt(broker, 'bench', site.key);
        add(title, 'register', await rounds(() => ask(site, loads.register, dir)));
        add(title, 'get', await rounds(() => ask(site, loads.getByQuery, dir)));
      });
    await onCluster(async (cluster) => {
      add('bare etcd, gRPC', 'put', await rounds(() => put(cluster, dir)));
    });
    say(table(['', 'request', 'per second', 'brokers CPU', 'etcd CPU', 'failed'], rows));
    return failed;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The first one warms up. */
async function rounds(measure: () => Promise<Found>): Promise<Found[]> {
  const found: Found[] = [];
  await measure();
  for (let round = 0; round < ROUNDS; round++) found.push(await measure());
  return found;
}

const failedOf = (found: readonly Found[]): number => found.reduce((sum, one) => sum + one.failed, 0);

function row(title: string, request: string, found: readonly Found[]): string[] {
  const median = (what: keyof Found): number =>
    found.map((one) => one[what]).toSorted((a, b) => a - b)[Math.floor(found.length / 2)] ?? Number.NaN;
  return [
    title,
    request,
    count(median('perSecond')),
    `${count(median('brokers'))} µs`,
    `${count(median('etcd'))} µs`,
    count(failedOf(found)),
  ];
}

/** One load at every broker at once. */
async function ask({ brokers, cluster }: Site, load: Load, dir: string): Promise<Found> {
  // A script for each, whose names no other has.
  return await measured(sumOf(brokers), cluster?.cost ?? sumOf([]), () =>
    Promise.all(
      brokers.map(({ port }, i) => wrk(port, load, path.join(dir, `load-${i}.lua`), brokers.length)),
    ),
  );
}

interface Loaded {
  readonly done: number;
  readonly perSecond: number;
  readonly failed: number;
}

async function measured(brokers: Cost, etcd: Cost, load: () => Promise<readonly Loaded[]>): Promise<Found> {
  const before = [brokers, etcd].map((cost) => cost.cpuSeconds());
  const found = await load();
  const sum = (what: keyof Loaded): number => found.reduce((total, one) => total + one[what], 0);
  const [ofBrokers = 0, ofEtcd = 0] = [brokers, etcd].map(
    (cost, i) => ((cost.cpuSeconds() - (before[i] ?? 0)) * 1e6) / sum('done'),
  );
  return { perSecond: sum('perSecond'), brokers: ofBrokers, etcd: ofEtcd, failed: sum('failed') };
}

async function wrk(port: number, { lua }: Load, script: string, share: number): Promise<Loaded> {
  writeFileSync(script, lua);
  const connections = Math.max(1, Math.round(CONNECTIONS / share));
  const args = ['-t1', `-c${connections}`, `-d${SECONDS}s`, '-s', script, `https://127.0.0.1:${port}/`];
  const { stdout } = await run('wrk', args, { encoding: 'utf8' });
  const number = (pattern: RegExp): number => Number(pattern.exec(stdout)?.[1] ?? 0);
  const broken = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/
    .exec(stdout)
    ?.slice(1);
  return {
    done: number(/(\d+) requests in/),
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    failed:
      number(/Non-2xx or 3xx responses: (\d+)/) +
      (broken ?? []).reduce((total, text) => total + Number(text), 0),
  };
}

/** Puts at all members, with a prepared message: what the cluster does without a broker. */
async function put({ endpoints, cost }: Cluster, dir: string): Promise<Found> {
  const message = path.join(dir, 'put.grpc');
  writeFileSync(message, grpcMessage(['bench', 'x'.repeat(100)]));
  return await measured(sumOf([]), cost, () =>
    Promise.all(
      endpoints.map(async (url) => {
        const connections = Math.round(CONNECTIONS / endpoints.length);
        const load = ['-t1', '-m1', `-c${connections}`, '-D', String(SECONDS), '-d', message];
        const headers = ['-H', 'content-type: application/grpc', '-H', 'te: trailers'];
        const args = [...load, ...headers, `${url}/etcdserverpb.KV/Put`];
        const { stdout } = await run('h2load', args, { encoding: 'utf8' });
        const [, done = 0, ok = 0] = /requests: .* (\d+) done, (\d+) succeeded/.exec(stdout) ?? [];
        const perSecond = Number(/finished in .*, ([\d.]+) req\/s/.exec(stdout)?.[1] ?? 0);
        return { done: Number(done), perSecond, failed: Number(done) - Number(ok) };
      }),
    ),
  );
}
