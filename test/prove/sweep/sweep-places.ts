/** Folders with a registry in a known state, made by real brokers, to run a sweep's cases on copies of. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { type Broker, started, type State } from '../broker.ts';
import type { Program } from '../programs.ts';

export interface Place {
  readonly dir: string;
  /** What was acknowledged. */
  readonly state: State;
  /** A backup beside the folder, and what it holds. */
  readonly backup?: { readonly file: string; readonly state: State };
}

export const configIn = (dir: string): string => path.join(dir, 'bpbroker.json');

/** A new folder with a configuration that lets any port be taken and makes backups only when told to. */
export function newFolder(dir: string, config: object = { backup_freq_secs: 0 }, store?: object): string {
  mkdirSync(dir, { recursive: true });
  writeFileSync(
    configIn(dir),
    JSON.stringify({
      api: { listen_port: 0, listen_ip: '127.0.0.1' },
      _config: config,
      ...(store && { _store: store }),
    }),
  );
  return dir;
}

export async function put(broker: Broker, name: string, data: object): Promise<void> {
  const { status, body } = await broker.put(name, data);
  if (status !== 200) throw new Error(`${name} was answered ${status}: ${body.message ?? ''}`);
}

/** Entries in the file, then entries, a change and a deletion in the journal, and the kill. */
export async function afterCrash(program: Program, dir: string): Promise<Place> {
  newFolder(dir);
  let broker = await started(program.command, configIn(dir));
  for (let i = 0; i < 6; i++) await put(broker, `file-${i}`, { i });
  await broker.stop();
  broker = await started(program.command, configIn(dir));
  for (let i = 0; i < 6; i++) await put(broker, `journal-${i}`, { i, pad: 'p'.repeat(i * 50) });
  await put(broker, 'file-1', { changed: true });
  await broker.call('Delete', { name: 'file-2' });
  const state = await broker.list();
  await broker.kill();
  return { dir, state };
}

/** As `afterCrash`, with a frame that was cut short by it. */
export async function afterTornWrite(program: Program, dir: string): Promise<Place> {
  const place = await afterCrash(program, dir);
  const journals = readdirSync(dir).filter((name) => /\.journal\.\d{16}$/.test(name));
  const journal = path.join(dir, journals.toSorted().at(-1) ?? '');
  const bytes = readFileSync(journal);
  // After the last frame, whose line ends there.
  bytes.write('0badc0de 300 [{"put":"never","rev"', bytes.lastIndexOf('\n') + 1);
  writeFileSync(journal, bytes);
  return place;
}

export async function afterStop(program: Program, dir: string): Promise<Place> {
  newFolder(dir);
  const broker = await started(program.command, configIn(dir));
  for (let i = 0; i < 8; i++) await put(broker, `file-${i}`, { i });
  const state = await broker.list();
  await broker.stop();
  return { dir, state };
}

/** A backup of a former state is beside a crashed registry. */
export async function withBackup(program: Program, dir: string): Promise<Place> {
  newFolder(dir);
  const file = configIn(dir);
  let broker = await started(program.command, file);
  for (let i = 0; i < 5; i++) await put(broker, `old-${i}`, { i });
  const old = await broker.list();
  await broker.stop();
  const printed = execFileSync(
    program.command[0] ?? '',
    [...program.command.slice(1), 'backup', '--config', file],
    { encoding: 'utf8', env: { ...process.env, HOME: `${dir}.home`, BPBROKER_HOME: `${dir}.home` } },
  );
  const backup = `${dir}.backup.json`;
  cpSync(printed.trim(), backup);
  broker = await started(program.command, file);
  for (let i = 0; i < 5; i++) await put(broker, `new-${i}`, { i });
  await broker.call('Delete', { name: 'old-1' });
  const state = await broker.list();
  await broker.kill();
  return { dir, state, backup: { file: backup, state: old } };
}
