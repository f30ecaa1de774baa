import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants as modes, existsSync, statSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import type { Writable } from 'node:stream';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';

/** A user's command that does not outlive this program. */
export interface WatchedCommand {
  readonly pid: number;
  /**
   * Whether it has a process group of its own. Then signals go to the whole group, and the whole group is
   * ended.
   */
  readonly hasGroup: boolean;
  /** How it ended: its exit code, or 128 plus the number of the signal that ended it. */
  readonly ended: Promise<number>;
  /**
   * Lets the processes that it has left running outlive us. Call it once the command has ended. It resolves when
   * our end no longer ends them.
   */
  letGo(): Promise<void>;
}

const SHELL = '/bin/sh';

/*
 * The command starts as a shell that waits for its watchdog. The watchdog is a shell in a session of its own,
 * which waits at a pipe whose other end only this program has. When we end for any reason, the watchdog kills
 * the command's group, unless it has received `done`. If we end before the command has begun, its shell ends
 * with us.
 *
 * The watchdog says itself when it watches: on Bun, two writes to two pipes are not sent in their order. The
 * command would begin unwatched.
 */
const BEGIN = 'read -r go <&3 && exec "$@" 3<&-';
const WATCH = 'read -r whom && echo ready && { read -r done || kill -9 "$whom"; }';
/** Longest wait for the watchdog to end after `done`, in milliseconds. */
const LET_GO_MS = 2000;

/** Exit codes of shells for a command that does not exist, and for one that cannot be run. */
const NOT_FOUND = 127;
const NOT_RUNNABLE = 126;

const windows = process.platform === 'win32';

export interface WatchdogOptions {
  /** Variables besides our own environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Whether it stays in our process group, and so in that of the terminal. */
  readonly isForeground: boolean;
}

/**
 * Starts a command with our standard streams. Returns the exit code and the message when it cannot be
 * started.
 */
export async function startWithWatchdog(
  command: readonly string[],
  { env, isForeground }: WatchdogOptions,
): Promise<WatchedCommand | { readonly failed: number; readonly message: string }> {
  const problemBefore = windows ? undefined : problemOf(command[0] ?? '', { ...process.env, ...env });
  if (problemBefore) return problemBefore;
  const hasGroup = !windows && !isForeground;
  const hasShell = !windows && existsSync(SHELL);
  const watchdog = hasShell ? await startWatchdog() : undefined;
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
    watchdog?.cancel();
    const name = command[0] ?? '';
    const isMissing = problem?.code === 'ENOENT' && !hasShell;
    return {
      failed: isMissing ? NOT_FOUND : NOT_RUNNABLE,
      message: `Cannot run '${name}': ${reasonOf(problem)}`,
    };
  }
  if (watchdog) {
    const begin = child.stdio[3] as Writable;
    // A command that has ended already reads nothing.
    begin.on('error', () => undefined);
    if (!(await watchdog.watch(hasGroup ? -pid : pid))) {
      // Its shell ends, since it never begins.
      begin.destroy();
      throw new BrokerError(
        'internal',
        `Cannot run '${command[0] ?? ''}': its watchdog, ${SHELL}, has ended`,
      );
    }
    begin.end('go\n');
  }
  return { pid, hasGroup, ended, letGo: async () => watchdog?.letGo() };
}

/**
 * Why a command cannot be run, in our words and not in those of a shell. It is searched as a shell does. Undefined
 * where it can be tried.
 */
function problemOf(
  name: string,
  { PATH }: NodeJS.ProcessEnv,
): { readonly failed: number; readonly message: string } | undefined {
  const refuse = (failed: number, why: string): { readonly failed: number; readonly message: string } => ({
    failed,
    message: `Cannot run '${name}': ${why}`,
  });
  const isPath = name.includes('/');
  // Without PATH, a shell has folders of its own.
  if (name !== '' && !isPath && PATH === undefined) return undefined;
  const places = isPath ? [name] : (PATH ?? '').split(':').map((dir) => path.join(dir || '.', name));
  const seen = places.map(lookAt);
  const found = seen.find((look) => typeof look === 'boolean');
  if (name === '' || found === undefined) {
    const problem = seen.find((look) => look instanceof Error);
    if (isPath && problem) return refuse(NOT_RUNNABLE, reasonOf(problem));
    const where = isPath ? 'check its path' : 'check its name, and the folders of PATH';
    return refuse(NOT_FOUND, `there is no such command; ${where}`);
  }
  if (places.some(isRunnable)) return undefined;
  return refuse(NOT_RUNNABLE, `${found ? 'it is a folder' : 'it is not executable'}; give a program`);
}

/**
 * Whether a file is a folder; undefined for one that does not exist. An error does not end the search: PATH may
 * name a folder that only another user can enter, and a shell continues after it.
 */
function lookAt(file: string): boolean | Error | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false })?.isDirectory();
  } catch (error) {
    return error as Error;
  }
}

function isRunnable(file: string): boolean {
  try {
    accessSync(file, modes.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** The shell that ends a process when we end. */
interface Watchdog {
  /**
   * Resolves once it watches over a process, or over a group, whose number is negative. Returns whether it does: it
   * may have been killed.
   */
  watch(whom: number): Promise<boolean>;
  /** Resolves once it watches no more. */
  letGo(): Promise<void>;
  /** Ends one that watches over nothing yet. */
  cancel(): void;
}

async function startWatchdog(): Promise<Watchdog> {
  const child = spawn(SHELL, ['-c', WATCH], { stdio: ['pipe', 'pipe', 'ignore'], detached: true });
  const problem = await startOf(child);
  if (problem) throw new BrokerError('internal', `Cannot run ${SHELL}: ${reasonOf(problem)}`);
  const { stdin, stdout } = child;
  // A watchdog that was killed reads nothing. Then nothing watches over the command.
  stdin.on('error', () => undefined);
  const said = new Promise<boolean>((resolve) => {
    stdout.once('data', () => resolve(true)).once('close', () => resolve(false));
  });
  const gone = new Promise<void>((resolve) => stdout.once('close', resolve));
  return {
    watch(whom) {
      stdin.write(`${whom}\n`);
      return said;
    },
    async letGo() {
      stdin.end('done\n');
      const timer = setTimeout(() => stdout.destroy(), LET_GO_MS);
      await gone;
      clearTimeout(timer);
    },
    cancel: () => void stdin.destroy(),
  };
}

/** Shells drop variables whose names they cannot have themselves. `env` passes these on. */
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
