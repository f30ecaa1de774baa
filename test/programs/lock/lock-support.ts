import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { cleanEnv } from '../../support/programs/clean-env.ts';
import type { Launcher } from '../../support/programs/programs.ts';
import { killIfThere } from '../../support/teardown.ts';
import { waitFor } from '../../support/wait.ts';
import { follow, type Running } from '../support.ts';

/** Why the commands that these tests run cannot be run here. */
export const noShell: string | false = process.platform === 'win32' && 'needs a POSIX shell';

/** Starts `lock` with these options, then `--` and a command; its standard input is empty unless it is given. */
export function startLock(
  launcher: Launcher,
  { dir, port }: { readonly dir: string; readonly port: number },
  options: readonly string[],
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Running {
  const home = path.join(dir, 'client');
  mkdirSync(home, { recursive: true });
  const [file = '', ...args] = launcher.bpclient.concat(
    ['--bpbroker', `127.0.0.1:${port}`, 'lock'],
    options,
    '--',
    command,
  );
  return follow(
    spawn(file, args, { env: cleanEnv(home, env), cwd: home, stdio: ['ignore', 'pipe', 'pipe'] }),
  );
}

/** What a program ended with, whatever still holds its output: its exit code, or the signal. */
export async function endOf({ child, stderr }: Running): Promise<number | NodeJS.Signals> {
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;
  await waitFor('the end', isOver, 30_000).catch((error) => {
    throw new Error(`It has not ended; on stderr: ${stderr()}`, { cause: error });
  });
  return child.exitCode ?? child.signalCode ?? 'SIGKILL';
}

/** Every process whose command line has `mark` in it, with that command line. */
export function processesWith(mark: string): string[] {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,stat=,args='], { encoding: 'utf8' });
  return stdout
    .split('\n')
    .filter((line) => line.includes(mark) && !/^\s*\d+\s+Z/.test(line) && !line.includes('ps -A'));
}

/**
 * Waits until no process has `mark` in its command line. What is left behind is killed: it may hold a pipe to this process, which would
 * not end.
 */
export async function untilNoneLeft(mark: string, timeoutMs?: number): Promise<void> {
  await waitFor('no process to be left', () => processesWith(mark).length === 0, timeoutMs).catch((error) => {
    const left = processesWith(mark);
    for (const line of left) killIfThere(Number.parseInt(line, 10));
    throw new Error(`Left behind: ${left.join('\n')}`, { cause: error });
  });
}

/** The text of a file, once it is there and has so many lines. */
export function untilWritten(file: string, lines = 1): Promise<string> {
  return waitFor(`${lines} lines in ${file}`, () => {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : '';
    return text.split('\n').length > lines ? text : undefined;
  });
}
