import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { cleanEnv } from './clean-env.ts';
import { atEnd } from '../cleanup.ts';
import { run, type RunOptions, type RunResult } from './run.ts';
import { tempDir } from '../temp.ts';
import { waitFor } from '../wait.ts';

export interface StartOptions {
  /**
   * Home of the broker, its file and its clients; default: a new temporary one. Pass it again to start there
   * once more.
   */
  readonly dir?: string;
  /** Arguments after `start`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /**
   * Written to the broker's file before the start. Default: any free port, unless the file exists already. A
   * given one listens on any free port too, unless its `api` says otherwise.
   */
  readonly config?: Readonly<Record<string, object>>;
  /** Until the ready line; default 30,000. */
  readonly timeoutMs?: number;
}

export interface ClientOptions extends RunOptions {
  /** Default `bpclient`. */
  readonly program?: 'bpbroker' | 'bpclient';
  /** Home of the client, where it keeps the brokers it knows; default: `client` in the broker's folder. */
  readonly home?: string;
  /** False leaves `--bpbroker` out, so that the client has to find the broker. */
  readonly address?: boolean;
  /** Added to the clean environment. */
  readonly env?: Readonly<Record<string, string>>;
}

/** What a broker ended with: its exit code, or the signal. */
interface End {
  readonly code: number | undefined;
  readonly signal: NodeJS.Signals | undefined;
}

export interface RunningBroker {
  readonly dir: string;
  readonly configFile: string;
  readonly pid: number;
  /** As its ready line has it. */
  readonly url: string;
  readonly port: number;
  readonly udpPort: number;
  /** `sha256:` and 64 hex digits. */
  readonly fingerprint: string;
  /** What it has printed on stderr so far. */
  stderr(): string;
  /** Runs a client command against it. */
  client(args: readonly string[], options?: ClientOptions): Promise<RunResult>;
  /** Its end, whatever ends it. */
  readonly ended: Promise<End>;
  /**
   * Ends it with SIGTERM, or the given signal, and returns its exit code. It has 15 s for that, or the time
   * given.
   */
  stop(signal?: NodeJS.Signals, patienceMs?: number): Promise<End>;
  /** Ends it with SIGKILL. */
  kill(): Promise<void>;
}

const readyLine = /^ready: (https:\/\/\S+) .*UDP port (\d+).*(sha256:[0-9a-f]{64})/m;

const readyJson =
  /^\{.*"message":"ready","url":"(https:[^"]+)","udp_port":(\d+),"fingerprint":"(sha256:[0-9a-f]{64})".*\}$/m;

/** What the ready line says; nothing while there is none. */
export function parseReady(
  text: string,
): { url: string; port: number; udpPort: number; fingerprint: string } | undefined {
  const [, url, udpPort, fingerprint] = readyLine.exec(text) ?? readyJson.exec(text) ?? [];
  if (!url || !udpPort || !fingerprint) return undefined;
  return { url, port: Number(new URL(url).port || 443), udpPort: Number(udpPort), fingerprint };
}

/**
 * Starts `bpbroker start` and waits for its ready line. What still runs when the tests of the file have ended
 * is killed, so this may be called in a hook too.
 * @throws Error with what it printed when it ends or the timeout passes before it is ready.
 */
export async function startBroker(
  { bpbroker, bpclient }: { readonly bpbroker: readonly string[]; readonly bpclient: readonly string[] },
  options: StartOptions = {},
): Promise<RunningBroker> {
  const dir = options.dir ?? tempDir();
  const configFile = path.join(dir, 'bpbroker.json');
  writeConfig(configFile, options.config);
  const [file = '', ...words] = bpbroker;
  const child = spawn(file, [...words, 'start', '--config', configFile, ...(options.args ?? [])], {
    cwd: dir,
    env: cleanEnv(dir, options.env),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let printed = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const ended = endOf(child);
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
  };
  atEnd(() => child.kill('SIGKILL'));
  const ready = await untilReady(child, () => printed, options.timeoutMs ?? 30_000).catch(async (error) => {
    await kill();
    throw error;
  });
  return {
    dir,
    configFile,
    pid: child.pid ?? 0,
    ...ready,
    stderr: () => printed,
    ended,
    client(args, clientOptions = {}) {
      const { program = 'bpclient', address = true, env, ...rest } = clientOptions;
      const home = clientOptions.home ?? path.join(dir, 'client');
      mkdirSync(home, { recursive: true });
      const target = address ? ['--bpbroker', `127.0.0.1:${ready.port}`] : [];
      const command = program === 'bpclient' ? bpclient : bpbroker;
      return run([...command, ...target, ...args], { cwd: home, ...rest, env: cleanEnv(home, env) });
    },
    async stop(signal = 'SIGTERM', patienceMs = 15_000) {
      child.kill(signal);
      const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs);
      const end = await ended;
      clearTimeout(timer);
      if (end.signal === 'SIGKILL') throw new Error(`The broker did not end on ${signal}:\n${printed}`);
      return end;
    },
    kill,
  };
}

function writeConfig(file: string, config: StartOptions['config']): void {
  if (!config && existsSync(file)) return;
  mkdirSync(path.dirname(file), { recursive: true });
  const api = { listen_port: 0, ...config?.['api'] };
  writeFileSync(file, JSON.stringify({ ...overEtcd(file), ...config, api }));
}

/**
 * With `BPBROKER_TEST_ETCD`, the URLs of a cluster's members, every broker has a registry of its own there: a suite that passes over the
 * file passes over etcd.
 */
function overEtcd(file: string): Record<string, object> {
  const { BPBROKER_TEST_ETCD: endpoints } = process.env;
  if (!endpoints) return {};
  return { _store: { driver: 'etcd', endpoints: endpoints.split(','), prefix: `${path.dirname(file)}/` } };
}

function endOf(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once('error', () => resolve({ code: undefined, signal: undefined }));
    child.once('exit', (code, signal) => resolve({ code: code ?? undefined, signal: signal ?? undefined }));
  });
}

async function untilReady(
  child: ChildProcess,
  printed: () => string,
  timeoutMs: number,
): Promise<NonNullable<ReturnType<typeof parseReady>>> {
  const closed = new Promise((resolve) => child.once('close', resolve));
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null || !child.pid;
  await waitFor('the ready line', () => parseReady(printed()) ?? isOver(), timeoutMs).catch(() => {});
  const ready = parseReady(printed());
  if (ready && !isOver()) return ready;
  if (isOver()) await Promise.race([closed, sleep(1000)]);
  const state = isOver() ? `it ended with ${child.exitCode ?? child.signalCode}` : 'it still runs';
  throw new Error(`No ready line (${state}); the broker printed:\n${printed()}`);
}
