import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import type { Writable } from 'node:stream';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';

/** A user's command that does not outlive this program. */
export interface WatchedCommand {
  readonly pid: number;
  /** Whether it has a process group of its own: signals are then for all of it, and it is ended as a whole. */
  readonly hasGroup: boolean;
  /** How it ended: its exit code, or 128 and the number of the signal that ended it. */
  readonly ended: Promise<number>;
  /** Lets what it has left running go on after us. To be called once it has ended. */
  letGo(): void;
}

const SHELL = '/bin/sh';

/*
 * The command begins as a shell that waits until the one is there that watches over it: a shell in a session of its own, which waits
 * at a pipe whose other end only this program holds. When we end, however that comes, it kills the command's group, unless it has learnt
 * that all is done. Where we end before the command has begun, its shell ends with us.
 */
const BEGIN = 'read -r go <&3 && exec "$@" 3<&-';
const WATCH = 'read -r whom && { read -r done || kill -9 "$whom"; }';

/** What shells exit with for a command that is not there, and for one that cannot be run. */
const NOT_FOUND = 127;
const NOT_RUNNABLE = 126;

const windows = process.platform === 'win32';

export interface WatchdogOptions {
  /** Besides our own environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether it stays in our process group, and so in that of the terminal. */
  readonly isForeground: boolean;
}

/** Starts a command with our standard streams. Gives the exit code and the message where it cannot be started. */
export async function startWithWatchdog(
  command: readonly string[],
  { env, isForeground }: WatchdogOptions,
): Promise<WatchedCommand | { readonly failed: number; readonly message: string }> {
  const hasGroup = !windows && !isForeground;
  const hasShell = !windows && existsSync(SHELL);
  const watcher = hasShell ? await startWatcher() : undefined;
  const [file = '', ...args] = hasShell ? [SHELL, '-c', BEGIN, 'lock', ...withOddNames(command)] : command;
  const child = spawn(file, args, {
    stdio: hasShell ? ['inherit', 'inherit', 'inherit', 'pipe'] : 'inherit',
    env: { ...process.env, ...env },
    detached: hasGroup,
  });
  const ended = endOf(child);
  const problem = await startOf(child);
  const { pid } = child;
  if (problem || pid === undefined) {
    watcher?.destroy();
    const name = command[0] ?? '';
    const isMissing = problem?.code === 'ENOENT' && !hasShell;
    return {
      failed: isMissing ? NOT_FOUND : NOT_RUNNABLE,
      message: `Cannot run '${name}': ${reasonOf(problem)}`,
    };
  }
  if (watcher) {
    await written(watcher, `${hasGroup ? -pid : pid}\n`);
    const begin = child.stdio[3] as Writable;
    // One that has been ended already reads nothing.
    begin.on('error', () => undefined);
    begin.end('go\n');
  }
  return { pid, hasGroup, ended, letGo: () => void watcher?.end('done\n') };
}

/** Starts the one that ends the command when we end, and gives what it reads. */
async function startWatcher(): Promise<Writable> {
  const child = spawn(SHELL, ['-c', WATCH], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  const problem = await startOf(child);
  if (problem) throw new BrokerError('internal', `Cannot run ${SHELL}: ${reasonOf(problem)}`);
  const { stdin } = child;
  if (!stdin) throw new BrokerError('internal', `Cannot run ${SHELL}: no pipe to it`);
  // One that was killed reads nothing: then the command is not watched over.
  stdin.on('error', () => undefined);
  child.unref();
  return stdin;
}

/** Waits until a text is on its way, or there is nobody to read it. */
function written(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve) => {
    stream.once('close', resolve);
    stream.write(text, () => resolve());
  });
}

/** Shells drop variables whose names they cannot have themselves: those are handed on behind their back. */
function withOddNames(command: readonly string[]): readonly string[] {
  const odd = Object.entries(process.env).filter(([name]) => !/^[A-Za-z_][A-Za-z0-9_]*$/.test(name));
  return odd.length > 0
    ? ['env', ...odd.map(([name, value = '']) => `${name}=${value}`), ...command]
    : command;
}

function endOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}

function startOf(child: ChildProcess): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    child.once('error', resolve);
    child.once('spawn', () => resolve(undefined));
  });
}
