import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { askEtcd, type EtcdCluster } from '../../support/registry/etcd.ts';
import type { RunResult } from '../../support/programs/programs.ts';
import { bpbroker } from '../support.ts';

let prefixes = 0;

/** A prefix that no other test of this process has. */
export function newPrefix(): string {
  return `/migrate/${process.pid}-${prefixes++}/`;
}

export const fileIn = (dir: string): string => path.join(dir, 'bpbroker.json');

/** Moves the registry in the folder. */
export function migrate(dir: string, to: 'etcd' | 'file', more: readonly string[] = []): Promise<RunResult> {
  return bpbroker(dir, migration(dir, to, more));
}

export function migration(dir: string, to: 'etcd' | 'file', more: readonly string[] = []): string[] {
  const from = to === 'etcd' ? 'file' : 'etcd';
  return ['migrate', '--from', from, '--to', to, '--config', fileIn(dir), ...more];
}

/** The options that lead to a place in the cluster. */
export function placeOf({ endpoints }: Pick<EtcdCluster, 'endpoints'>, prefix: string): string[] {
  return [...endpoints.flatMap((url) => ['--endpoint', url]), '--prefix', prefix];
}

export interface FileContent {
  readonly _store: { readonly driver: string; readonly prefix?: string };
  readonly _registry?: {
    readonly id: string;
    readonly revision: number;
    readonly entries: Readonly<Record<string, { readonly revision: number; readonly ttl_ms?: number }>>;
  };
  readonly services: Readonly<Record<string, unknown>>;
}

export function contentOf(dir: string): FileContent {
  return JSON.parse(readFileSync(fileIn(dir), 'utf8')) as FileContent;
}

/** Writes the file of a broker that has never run, with that many entries, some of which have lifetimes of half a minute. */
export function writeFileOf(dir: string, count: number, size = 20): void {
  const names = Array.from({ length: count }, (_, i) => `e${String(i).padStart(6, '0')}`);
  const stamps = { last_write_ts: 1_420_068_290, last_write_ip: '10.0.0.1' };
  const entries = Object.fromEntries(
    names.map((name) => [name, { ...stamps, _str: name.padEnd(size, 'x') }]),
  );
  const states = names.map(
    (name, i) => [name, { revision: i + 1, ...(i % 5 === 0 && { ttl_ms: 300_000 }) }] as const,
  );
  const registry = { id: '0123456789abcdef', revision: count + 7, entries: Object.fromEntries(states) };
  const api = { listen_port: 0 };
  // Without a checksum, as if it had been edited by hand: every entry is taken as just written.
  writeFileSync(fileIn(dir), JSON.stringify({ api, services: entries, _registry: registry }));
}

/** What etcd holds below a prefix, as text. */
export async function keysAt({ endpoints }: EtcdCluster, prefix: string): Promise<Map<string, string>> {
  const end = `${prefix.slice(0, -1)}0`;
  const range = { key: btoa(prefix), range_end: btoa(end) };
  const { kvs = [] } = (await askEtcd(endpoints[0] ?? '', '/v3/kv/range', range)) as {
    kvs?: { key: string; value?: string }[];
  };
  return new Map(kvs.map(({ key, value = '' }) => [atob(key).slice(prefix.length), atob(value)]));
}

/** What etcd says of the registry below a prefix: one key, which is read in a moment. */
export async function registryAt({ endpoints }: EtcdCluster, prefix: string): Promise<string> {
  const range = { key: btoa(`${prefix}m/registry`) };
  const { kvs = [] } = (await askEtcd(endpoints[0] ?? '', '/v3/kv/range', range)) as {
    kvs?: { value?: string }[];
  };
  return atob(kvs[0]?.value ?? '');
}
