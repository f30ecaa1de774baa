import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../../build/root.ts';
import { waitFor } from '../support/wait.ts';

/**
 * `npm run bench:client`: the wall time of client commands (executables, identity already known) against
 * `curl -sk` for the same request. Debian's `etcdctl get` is measured too, if it is installed. All run as
 * whole processes in turn. Needs `curl` and `npm run build`.
 */

const ROUNDS = 30;
const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-bench-'));
const env = { PATH: process.env['PATH'] ?? '', HOME: dir, XDG_CONFIG_HOME: dir, BPBROKER_INTERFACES: 'lo' };
const program = (name: string): string => path.join(root, 'dist', name);
const running: ChildProcess[] = [];

type CommandLine = readonly [string, ...string[]];

function time([command, ...args]: CommandLine): number {
  const began = performance.now();
  const { status, stderr } = spawnSync(command, args, { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`);
  return performance.now() - began;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Runs the commands in turn and prints each one's median, and its ratio to the last one in the same round. */
function compare(title: string, commands: Readonly<Record<string, CommandLine>>): void {
  const names = Object.keys(commands);
  const times = new Map(names.map((name): [string, number[]] => [name, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, command] of Object.entries(commands)) {
      const ms = time(command);
      // The first round only warms the caches.
      if (round > 0) times.get(name)?.push(ms);
    }
  }
  const yardstick = times.get(names.at(-1) ?? '') ?? [];
  process.stdout.write(`\n${title}, medians of ${ROUNDS}\n`);
  for (const [name, own] of times) {
    const ratio = median(own.map((ms, i) => ms / (yardstick[i] ?? Number.NaN)));
    process.stdout.write(
      `${name.padEnd(30)}${median(own).toFixed(1).padStart(7)} ms  ratio ${ratio.toFixed(2)}\n`,
    );
  }
}

/** Starts a server, and returns what of its standard error says that it is ready. */
async function start([command, ...args]: CommandLine, ready: RegExp): Promise<string> {
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  running.push(child);
  let printed = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text));
  return waitFor(`the ready line of ${command}`, () => ready.exec(printed)?.[1]);
}

/** etcd over TLS with one entry; the command that reads it. */
async function startEtcd(): Promise<CommandLine | undefined> {
  if (spawnSync('etcd', ['--version']).error || spawnSync('etcdctl', ['version']).error) return undefined;
  const [cert, key] = [path.join(dir, 'etcd.crt'), path.join(dir, 'etcd.key')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const names = ['-subj', '/CN=etcd', '-addext', 'subjectAltName=IP:127.0.0.1'];
  time(['openssl', 'req', '-x509', ...curve, ...names, '-out', cert, '-keyout', key]);
  const endpoint = 'https://127.0.0.1:22379';
  const urls = [`--listen-client-urls=${endpoint}`, `--advertise-client-urls=${endpoint}`];
  const peers = ['--listen-peer-urls=http://127.0.0.1:22380'];
  const tls = [`--cert-file=${cert}`, `--key-file=${key}`];
  await start(
    ['etcd', `--data-dir=${dir}/etcd`, ...tls, ...urls, ...peers],
    /(ready to serve client requests)/,
  );
  const etcdctl: CommandLine = ['etcdctl', `--endpoints=${endpoint}`, `--cacert=${cert}`];
  time([...etcdctl, 'put', 'bench', 'bar']);
  return [...etcdctl, 'get', 'bench'];
}

try {
  const config = ['--config', path.join(dir, 'bpbroker.json')];
  const listen = ['--listen-port', '0', '--listen-ip', '127.0.0.1'];
  const port = await start([program('bpbroker'), 'start', ...config, ...listen], /^ready: \S+:(\d+)/m);
  const address = `127.0.0.1:${port}`;
  const bpclient: CommandLine = [program('bpclient'), '-b', address, 'service'];
  time([...bpclient, 'register', '--name', 'bench', '--data', 'bar']);
  const etcdctl = await startEtcd();
  const json = ['-H', 'Content-Type: application/json', '-d', '{"name": "bench"}'];
  compare('service get', {
    'bpclient service get': [...bpclient, 'get', '--name', 'bench'],
    'bpbroker service get': [program('bpbroker'), '-b', address, 'service', 'get', '--name', 'bench'],
    ...(etcdctl && { 'etcdctl get': etcdctl }),
    'curl -sk': ['curl', '-sk', `https://${address}/services/Get`, ...json],
  });
  compare('--version', {
    'bpclient --version': [program('bpclient'), '--version'],
    'bpbroker --version': [program('bpbroker'), '--version'],
    'bpclient complete': [program('bpclient'), 'complete', '--word=serv'],
    'curl --version': ['curl', '--version'],
  });
} finally {
  for (const child of running.filter(({ exitCode }) => exitCode === null)) {
    const ended = once(child, 'exit');
    child.kill();
    await ended;
  }
  rmSync(dir, { recursive: true, force: true });
}
