import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { EntryData, JsonObject } from '../../src/protocol/data.ts';
import { BrokerError } from '../../src/protocol/errors.ts';
import { readStored } from '../../src/store/file/document.ts';
import { type FileStore, type FileStoreOptions, openFileStore } from '../../src/store/file/file-store.ts';
import type { Mutation, Outcome, WatchItem } from '../../src/store/store.ts';

// Scripts that tests start import this file too, so it must not need a test runner.

export const TS = 1_420_068_290;
export const IP = '127.0.0.1';

/** Stores `data`, whatever stood. */
export function put(data: EntryData | string, ttlMs?: number): Mutation {
  const held = typeof data === 'string' ? { _str: data } : data;
  const entry = { name: '', data: held, lastWriteTs: TS, lastWriteIp: IP };
  return () => ({ action: 'put', entry: ttlMs === undefined ? entry : { ...entry, ttlMs } });
}

/** Stores `data` unless the entry stands. */
export function create(data: EntryData | string): Mutation {
  return (current) => {
    if (current) throw new BrokerError('already_exists', `Entry '${current.name}' already exists`);
    return put(data)(current);
  };
}

export const remove: Mutation = (): Outcome => ({ action: 'delete' });

/** The next `count` items of a watch. */
export async function take(watch: AsyncIterator<WatchItem>, count: number): Promise<WatchItem[]> {
  const items: WatchItem[] = [];
  while (items.length < count) {
    const next = await within(10_000, watch.next());
    if (next === undefined) throw new Error(`Waited in vain for item ${items.length + 1} of ${count}`);
    if (next.done) throw new Error(`The watch ended after ${items.length} of ${count} items`);
    items.push(next.value);
  }
  return items;
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T | undefined> {
  const timer = new AbortController();
  const late = sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}

export const OPTIONS: JsonObject = { api: { listen_port: 20443 }, services: { _access_key: 'secret' } };

export type OpenOptions = Partial<Omit<FileStoreOptions, 'file' | 'document'>>;

/** Opens the registry in `dir` as the broker does: reads the file, then opens it. */
export async function openIn(dir: string, options: OpenOptions = {}): Promise<FileStore> {
  const file = path.join(dir, 'bpbroker.json');
  return await openFileStore({
    file,
    document: await readStored(file),
    options: () => OPTIONS,
    ...options,
  });
}

/** Every file of a folder with its content, to tell whether anything was touched. */
export function contentOf(dir: string): Record<string, string> {
  const files = readdirSync(dir).toSorted();
  return Object.fromEntries(
    files
      .filter((name) => statSync(path.join(dir, name)).isFile())
      .map((name) => [name, readFileSync(path.join(dir, name), 'latin1')]),
  );
}

/** The journals in a folder, the oldest first. */
export function journalsIn(dir: string): string[] {
  return readdirSync(dir)
    .filter((name) => /\.journal\.\d{16}$/.test(name))
    .toSorted()
    .map((name) => path.join(dir, name));
}

/** Starts a script of this folder under the running runtime, or under `wrapper` (such as strace). */
export function startScript(
  script: string,
  args: readonly string[],
  wrapper: readonly string[] = [],
): ChildProcess {
  const file = fileURLToPath(new URL(script + path.extname(import.meta.url), import.meta.url));
  const run = 'Deno' in globalThis ? ['run', '-A', file] : [file];
  const [command = '', ...rest] = [...wrapper, process.execPath, ...run, ...args];
  return spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
}

/** What a process printed, once it has ended. */
export async function outputOf(
  child: ChildProcess,
): Promise<{ stdout: string; stderr: string; code: number | null; signal: string | null }> {
  let stdout = '';
  let stderr = '';
  child.stdout?.on('data', (bytes) => (stdout += String(bytes)));
  child.stderr?.on('data', (bytes) => (stderr += String(bytes)));
  return await new Promise((resolve) => {
    child.on('close', (code, signal) => resolve({ stdout, stderr, code, signal }));
  });
}
