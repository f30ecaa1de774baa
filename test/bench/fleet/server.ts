import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root, tool } from '../../../build/root.ts';
import { makeSelfSigned } from '../../../src/broker/self-signed.ts';
import { connect } from '../../../src/client/client.ts';
import { waitFor } from '../../support/wait.ts';
import { type Cost, costOf } from './process.ts';

type CommandLine = readonly [string, ...string[]];

/** The ways to run the broker, each with the runtime that the bare Hono application runs on beside it. */
const ways: Readonly<Record<string, { readonly broker: CommandLine; readonly hello: CommandLine }>> = {
  executable: { broker: [path.join(root, 'dist/bpbroker')], hello: [tool('bun')] },
  bun: { broker: [tool('bun'), path.join(root, 'src/cli/bpbroker.ts')], hello: [tool('bun')] },
  node: { broker: [tool('node'), path.join(root, 'dist/npm/cli/bpbroker.js')], hello: [tool('node')] },
};

const DAY_MS = 86_400_000;

/** A server process under load. */
export interface Server extends Cost {
  readonly port: number;
  readonly pid: number;
  /** How long its main thread has been ready to run and had no processor, in milliseconds. */
  waitedMs(): number;
  /** What it has printed. */
  printed(): string;
  stop(): Promise<void>;
}

/** @throws Error for a way that there is not. */
export function checkWay(how: string): void {
  if (!ways[how])
    throw new Error(`The broker cannot run as '${how}': expected ${Object.keys(ways).join(', ')}`);
}

export interface BrokerOptions {
  /** Makes it keyed. */
  readonly key?: string | undefined;
  /** The file's `_store`; default: the registry is in the file. */
  readonly store?: object | undefined;
}

/** A broker in a folder of its own. */
export function startBroker(how: string, { key, store }: BrokerOptions): Promise<Server> {
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-fleet-'));
  const file = path.join(dir, 'bpbroker.json');
  const options = {
    api: { listen_port: 0 },
    ping: {},
    services: {},
    ...(key === undefined ? {} : { discover: { _access_key: key } }),
    ...(store === undefined ? {} : { _store: store }),
  };
  writeFileSync(file, JSON.stringify(options), { mode: 0o600 });
  const [command, ...words] = ways[how]?.broker ?? ['no such way'];
  return start([command, ...words, 'start', '--config', file], dir);
}

/** Registers an entry of that name: the cluster's, by which the nodes find the broker, or another. */
export async function registerAt({ port }: Server, name: string, key?: string): Promise<void> {
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-fleet-'));
  try {
    const client = await connect({
      broker: { host: '127.0.0.1', port },
      knownBrokers: path.join(dir, 'known_brokers'),
      ...(key === undefined ? {} : { discoverKey: key }),
    });
    await client.register(name, 'here');
    client.close();
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The bare Hono application on the same runtime, with a certificate as the broker's. */
export async function startHello(how: string): Promise<Server> {
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-fleet-'));
  const [cert, key] = [path.join(dir, 'hello.crt'), path.join(dir, 'hello.key')];
  const made = await makeSelfSigned('bpbroker', Date.now() - DAY_MS, Date.now() + DAY_MS);
  writeFileSync(cert, made.cert);
  writeFileSync(key, made.key);
  const [command, ...words] = ways[how]?.hello ?? ['no such way'];
  return start([command, ...words, path.join(root, 'test/bench/hello.ts'), cert, key], dir);
}

/** Starts a program that says its port in a ready line, on either stream. The folder is removed when it has ended. */
async function start([command, ...args]: CommandLine, dir: string): Promise<Server> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: dir, BPBROKER_HOME: dir, BPBROKER_INTERFACES: 'lo' };
  const child = spawn(command, args, { env, cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit');
  let printed = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const stop = async (): Promise<void> => {
    child.kill();
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    const port = await waitFor(
      `the port of ${command}`,
      () => /^ready: (?:\S+:)?(\d+)\b/m.exec(printed)?.[1],
      30_000,
    );
    const pid = child.pid ?? 0;
    return {
      port: Number(port),
      pid,
      // The kernel's documentation of `schedstat`: time on a processor, and waiting for one, in nanoseconds.
      waitedMs: () => Number(readFileSync(`/proc/${pid}/task/${pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6,
      ...costOf(pid),
      printed: () => printed,
      stop,
    };
  } catch (error) {
    await stop();
    throw new Error(`${command} printed: ${printed}`, { cause: error });
  }
}
