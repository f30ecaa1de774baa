import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../../build/root.ts';
import { waitFor } from '../support/wait.ts';

/**
 * `npm run bench:client`: the wall time of `bpclient service get` (executable, identity already known) against `curl -sk`
 * for the same request, as whole processes in pairs. Needs `curl` and `npm run build`.
 */

const PAIRS = 20;
const dir = mkdtempSync(path.join(tmpdir(), 'bpbroker-bench-'));
const env = { PATH: process.env['PATH'] ?? '', HOME: dir, XDG_CONFIG_HOME: dir, BPBROKER_INTERFACES: 'lo' };
const program = (name: string): string => path.join(root, 'dist', name);

function time(command: string, args: readonly string[]): number {
  const began = performance.now();
  const { status, stderr } = spawnSync(command, args, { env, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${stderr}`);
  return performance.now() - began;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

const args = [
  'start',
  '--config',
  path.join(dir, 'bpbroker.json'),
  '--listen-port',
  '0',
  '--listen-ip',
  '127.0.0.1',
];
const broker = spawn(program('bpbroker'), args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
const ended = once(broker, 'exit');
try {
  let printed = '';
  broker.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text));
  const port = await waitFor('the ready line', () => /^ready: \S+:(\d+)/m.exec(printed)?.[1]);
  const address = `127.0.0.1:${port}`;
  time(program('bpclient'), ['-b', address, 'service', 'register', '--name', 'bench', '--data', 'bar']);
  const request = [
    '-sk',
    `https://${address}/services/Get`,
    '-H',
    'Content-Type: application/json',
    '-d',
    '{"name": "bench"}',
  ];
  const ours: number[] = [];
  const curls: number[] = [];
  for (let pair = 0; pair <= PAIRS; pair++) {
    const one = time(program('bpclient'), ['-b', address, 'service', 'get', '--name', 'bench']);
    const other = time('curl', request);
    // The first pair only warms the caches.
    if (pair === 0) continue;
    ours.push(one);
    curls.push(other);
  }
  const ratio = median(ours.map((ms, i) => ms / (curls[i] ?? Number.NaN)));
  process.stdout.write(
    `service get, ${PAIRS} pairs: bpclient ${median(ours).toFixed(1)} ms, curl ${median(curls).toFixed(1)} ms, ratio ${ratio.toFixed(2)}\n`,
  );
} finally {
  broker.kill();
  await ended;
  rmSync(dir, { recursive: true, force: true });
}
