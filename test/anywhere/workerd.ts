import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { root, tool } from '../../build/root.ts';
import { follow, type Running } from '../programs/support.ts';
import { run } from '../support/programs/run.ts';
import { waitFor } from '../support/wait.ts';
import { serverEnv } from './server-process.ts';

const machines: Readonly<Record<string, string>> = {
  'linux x64': 'workerd-linux-64',
  'linux arm64': 'workerd-linux-arm64',
  'darwin x64': 'workerd-darwin-64',
  'darwin arm64': 'workerd-darwin-arm64',
  'win32 x64': 'workerd-windows-64',
};

/** The runtime of Cloudflare's Workers, which a dev dependency brings, or the reason why it cannot run here. */
export const workerd: { readonly file: string; readonly missing: string | false } = find();

function find(): typeof workerd {
  const machine = `${process.platform} ${process.arch}`;
  const name = machines[machine];
  if (name === undefined) return { file: '', missing: `there is no workerd for ${machine}` };
  const binary = process.platform === 'win32' ? 'workerd.exe' : 'workerd';
  const file = path.join(root, 'node_modules', '@cloudflare', name, 'bin', binary);
  const { status, error, stderr } = spawnSync(file, ['--version'], { encoding: 'utf8' });
  if (status === 0) return { file, missing: false };
  return { file, missing: `workerd does not run here: ${error?.message ?? stderr.trim()}` };
}

/** Makes one file of a script and all that it imports, as `examples/worker/README.md` does. */
export async function bundle(
  dir: string,
  file: string,
  outfile: string,
  flags: readonly string[] = [],
): Promise<void> {
  const command = [
    tool('bun'),
    'build',
    file,
    `--outfile=${outfile}`,
    '--target=browser',
    '--external=node:*',
  ];
  const { code, stderr } = await run([...command, ...flags], { cwd: dir, env: serverEnv(dir) });
  if (code !== 0) throw new Error(`bun build ${file}: ${stderr}`);
}

export interface WorkerdProcess {
  readonly origin: string;
  readonly running: Running;
}

/** Serves the socket `http` of a configuration on a free port. */
export async function startWorkerd(
  dir: string,
  config = 'config.capnp',
  env: Record<string, string> = serverEnv(dir),
): Promise<WorkerdProcess> {
  const args = ['serve', config, '--socket-addr=http=127.0.0.1:0', '--control-fd=3'];
  const child = spawn(workerd.file, args, {
    cwd: dir,
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  const running = follow(child);
  let said = '';
  (child.stdio[3] as Readable).setEncoding('utf8').on('data', (text: string) => (said += text));
  const port = await waitFor('the port of workerd', () => /"port":(\d+)/.exec(said)?.[1], 30_000).catch(
    (error) => {
      throw new Error(`It did not listen; on stderr: ${running.stderr()}`, { cause: error });
    },
  );
  return { origin: `http://127.0.0.1:${port}`, running };
}
