import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { type BrokerClient, connect, type ConnectOptions } from '../../src/client/client.ts';
import { cleanEnv } from '../support/programs/clean-env.ts';
import { atEnd } from '../support/cleanup.ts';
import {
  type Launcher,
  launchers,
  run,
  type RunningBroker,
  type RunResult,
} from '../support/programs/programs.ts';
import { waitFor } from '../support/wait.ts';

export { freePort } from '../support/network/free-port.ts';

/** What to run where the runtime does not matter: the executables, or Node where they have not been built. */
export const reference: Launcher = pickReference();

function pickReference(): Launcher {
  const found = usable('executable') ?? usable('node24');
  if (!found) throw new Error('Neither the executables nor dist/npm is there: npm run build');
  return found;
}

function usable(name: Launcher['name']): Launcher | undefined {
  return launchers.find((launcher) => launcher.name === name && launcher.available === true);
}

/** For `skip`. */
export function skipOf({ available }: Launcher): string | false {
  return available === true ? false : available;
}

/** A program that runs while the test goes on. */
export interface Running {
  readonly child: ChildProcess;
  stdout(): string;
  stderr(): string;
  /** The lines of standard output that are complete. */
  lines(): string[];
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals>;
  /** Ends it and returns what it ended with. */
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals>;
}

/** Starts a program that is killed, at the latest, when the tests of the file have ended. */
export function start(
  command: readonly string[],
  options: { readonly env: Readonly<Record<string, string>>; readonly cwd: string },
): Running {
  const [file = '', ...args] = command;
  const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  return follow(child);
}

/** Collects what a child process prints. */
export function follow(child: ChildProcess): Running {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  atEnd(() => child.kill('SIGKILL'));
  const ended = new Promise<number | NodeJS.Signals>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'));
  });
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    lines: () => stdout.split('\n').slice(0, -1),
    ended,
    stop(signal = 'SIGKILL') {
      child.kill(signal);
      return ended;
    },
  };
}

/** Starts a client command against a broker that runs, or at a port where one is yet to come. */
export function startClient(
  launcher: Launcher,
  { dir, port }: { readonly dir: string; readonly port: number },
  args: readonly string[],
): Running {
  const home = path.join(dir, 'client');
  mkdirSync(home, { recursive: true });
  const command = [...launcher.bpclient, '--bpbroker', `127.0.0.1:${port}`, ...args];
  return start(command, { env: cleanEnv(home), cwd: home });
}

/** A client in this process, with connections of its own. */
export async function connectTo(
  { dir, port, fingerprint }: Pick<RunningBroker, 'dir' | 'port' | 'fingerprint'>,
  options: Partial<ConnectOptions> = {},
): Promise<BrokerClient> {
  const knownBrokers = path.join(dir, 'known_brokers');
  const client = await connect({ broker: `127.0.0.1:${port}`, fingerprint, knownBrokers, ...options });
  atEnd(() => client.close());
  return client;
}

/** Waits until a program has printed so many lines on standard output. */
export async function untilLines(program: Running, count: number, timeoutMs?: number): Promise<string[]> {
  await waitFor(`${count} lines of output`, () => program.lines().length >= count, timeoutMs).catch(
    (error) => {
      throw new Error(`It printed ${program.lines().length} lines; on stderr: ${program.stderr()}`, {
        cause: error,
      });
    },
  );
  return program.lines();
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Runs `bpbroker` in a home of its own. */
export function bpbroker(dir: string, args: readonly string[], input = ''): Promise<RunResult> {
  return run([...reference.bpbroker, ...args], { env: cleanEnv(dir), cwd: dir, input });
}
