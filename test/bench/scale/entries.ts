import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { encodeEntry } from '../../../src/store/etcd/entry-value.ts';
import { createKeys } from '../../../src/store/etcd/keys.ts';
import type { Cluster } from '../fleet/etcd/cluster.ts';
import { onCluster, storeOptions } from '../fleet/site.ts';
import { count, mebibytes, table, timeText } from '../fleet/table.ts';
import { dataOf, generate, median, nameOf, start } from '../registry/server.ts';

const SIZES = [1000, 100_000];
const STARTS = 3;
/** Of etcd: its `--max-txn-ops` is 128. */
const PER_TRANSACTION = 100;
/** A broker reads so many revisions change by change, and all before them page by page. */
const CHANGES = 1000;
const CHANGES_AT_ONCE = 32;
/** For the memory of a start to come to rest. */
const REST_MS = 1000;

/** What one registry takes: of the broker, and of etcd. */
interface Found {
  readonly entries: number;
  readonly readyMs: number;
  readonly broker: number;
  readonly etcd: number;
  /** Bytes of a member's database. */
  readonly database: number;
}

/** What entries cost one broker with its file, and one over etcd: its start, and memory. Medians of three starts. */
export async function compareEntries(how: string, say: (text: string) => void): Promise<void> {
  const ofFile: Found[] = [];
  const ofEtcd: Found[] = [];
  for (const entries of SIZES) {
    ofFile.push(
      await inFolder(async (file) => {
        generate(file, entries);
        return { entries, ...(await startsOf(how, file)), etcd: 0, database: 0 };
      }),
    );
    ofEtcd.push(await onCluster((cluster) => inFolder((file) => overEtcd(how, cluster, file, entries))));
  }
  const head = ['', 'entries', 'start', 'memory', 'of an entry', 'etcd memory', 'of an entry', 'database'];
  say(table(head, [...rowsOf('file', ofFile), ...rowsOf('etcd', ofEtcd)]));
}

async function inFolder<T>(use: (file: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-scale-'));
  try {
    return await use(path.join(dir, 'bpbroker.json'));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function overEtcd(how: string, cluster: Cluster, file: string, entries: number): Promise<Found> {
  await fill(cluster, entries);
  const options = {
    api: { listen_port: 0, listen_ip: '127.0.0.1' },
    ping: {},
    services: {},
    _store: storeOptions(cluster, 0),
  };
  writeFileSync(file, JSON.stringify(options), { mode: 0o600 });
  const found = await startsOf(how, file);
  const { dbSize } = (await cluster.ask({}, '/v3/maintenance/status')) as { dbSize?: string };
  return { entries, ...found, etcd: cluster.cost.memory(), database: Number(dbSize ?? 0) };
}

/** As brokers write them, but many in one transaction; then some of them once more, each by itself, as the latest changes. */
async function fill(cluster: Cluster, entries: number): Promise<void> {
  const keys = createKeys('/bpbroker/');
  const operation = (i: number): { key: string; value: string } => {
    const name = nameOf(i);
    const entry = { name, data: dataOf(i), lastWriteTs: 1_800_000_000 + i, lastWriteIp: '10.0.0.1' };
    return { key: keys.entry(name), value: encodeEntry(entry, String(i)) };
  };
  for (let from = 0; from < entries; from += PER_TRANSACTION) {
    const length = Math.min(PER_TRANSACTION, entries - from);
    const success = Array.from({ length }, (_, i) => ({ request_put: operation(from + i) }));
    await cluster.ask({ success }, '/v3/kv/txn');
  }
  let next = 0;
  const change = async (): Promise<void> => {
    while (next < CHANGES) await cluster.ask(operation(next++ % entries), '/v3/kv/put');
  };
  await Promise.all(Array.from({ length: CHANGES_AT_ONCE }, change));
}

async function startsOf(how: string, file: string): Promise<Pick<Found, 'readyMs' | 'broker'>> {
  const found: { readonly readyMs: number; readonly bytes: number }[] = [];
  for (let i = 0; i < STARTS; i++) {
    const broker = await start(how, file);
    await sleep(REST_MS);
    found.push({ readyMs: broker.readyMs, bytes: broker.residentBytes() });
    await broker.stop();
  }
  return {
    readyMs: median(found.map(({ readyMs }) => readyMs)),
    broker: median(found.map(({ bytes }) => bytes)),
  };
}

function rowsOf(title: string, found: readonly Found[]): string[][] {
  const [least] = found;
  return found.map((one) => {
    /** How much more an entry takes than with the fewest. */
    const each = (what: 'broker' | 'etcd'): string =>
      one === least || least === undefined
        ? '–'
        : `${count((one[what] - least[what]) / (one.entries - least.entries))} B`;
    return [
      title,
      count(one.entries),
      timeText(one.readyMs),
      mebibytes(one.broker),
      each('broker'),
      ...(one.etcd === 0 ? ['–', '–', '–'] : [mebibytes(one.etcd), each('etcd'), mebibytes(one.database)]),
    ];
  });
}
