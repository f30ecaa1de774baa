import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root, tool } from '../../../build/root.ts';
import { makeSelfSigned } from '../../../src/broker/self-signed.ts';
import { connect } from '../../../src/client/client.ts';
import { waitFor } from '../../support/wait.ts';
import { CLUSTER } from './phases.ts';

type CommandLine = readonly [string, ...string[]];

/** The ways to run the broker, each with the runtime that the bare Hono application runs on beside it. */
const ways: Readonly<Record<string, { readonly broker: CommandLine; readonly hello: CommandLine }>> = {
  executable: { broker: [path.join(root, 'dist/bpbroker')], hello: [tool('bun')] },
  bun: { broker: [tool('bun'), path.join(root, 'src/cli/bpbroker.ts')], hello: [tool('bun')] },
  node: { broker: [tool('node'), path.join(root, 'dist/npm/cli/bpbroker.js')], hello: [tool('node')] },
};

const DAY_MS = 86_400_000;

/** A server process under load. */
export interface Server {
  readonly port: number;
  /** CPU time so far, all threads, kernel time included, in seconds. */
  cpuSeconds(): number;
  /** What it holds in memory now, in bytes. */
  memory(): number;
  /** The most that it has held since {@link resetPeak}. */
  peak(): number;
  resetPeak(): void;
  /** What it has printed. */
  printed(): string;
  stop(): Promise<void>;
}

/** @throws Error for a way that there is not. */
export function checkWay(how: string): void {
  if (!ways[how])
    throw new Error(`The broker cannot run as '${how}': expected ${Object.keys(ways).join(', ')}`);
}

/** A broker that holds the cluster's entry, in a folder of its own; with a discovery key it is keyed. */
export async function startBroker(how: string, key?: string): Promise<Server> {
  const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-fleet-'));
  const file = path.join(dir, 'bpbroker.json');
  const discover = key === undefined ? {} : { discover: { _access_key: key } };
  writeFileSync(file, JSON.stringify({ api: { listen_port: 0 }, ping: {}, services: {}, ...discover }));
  const [command, ...words] = ways[how]?.broker ?? ['no such way'];
  const server = await start([command, ...words, 'start', '--config', file], dir);
  const client = await connect({
    broker: { host: '127.0.0.1', port: server.port },
    knownBrokers: path.join(dir, 'known_brokers'),
    ...(key === undefined ? {} : { discoverKey: key }),
  });
  await client.register(CLUSTER, 'here');
  client.close();
  return server;
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
  const proc = (name: string): string => readFileSync(`/proc/${child.pid}/${name}`, 'utf8');
  const stop = async (): Promise<void> => {
    child.kill();
    await ended;
    rmSync(dir, { recursive: true, force: true });
  };
  const status = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(proc('status'))?.[1]) * 1024;
  try {
    const port = await waitFor(
      `the port of ${command}`,
      () => /^ready: (?:\S+:)?(\d+)\b/m.exec(printed)?.[1],
      30_000,
    );
    return {
      port: Number(port),
      cpuSeconds() {
        // proc(5): the clock tick of Linux is 10 ms.
        const fields = proc('stat').split(') ').at(-1)?.split(' ') ?? [];
        return (Number(fields[11]) + Number(fields[12])) / 100;
      },
      memory: () => status('VmRSS'),
      peak: () => status('VmHWM'),
      resetPeak: () => writeFileSync(`/proc/${child.pid}/clear_refs`, '5'),
      printed: () => printed,
      stop,
    };
  } catch (error) {
    await stop();
    throw new Error(`${command} printed: ${printed}`, { cause: error });
  }
}
