import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { isMainThread } from 'node:worker_threads';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';

/** A process that works for an extension: a host, or the executable itself. */
export interface Child {
  /** Absent when it could not be started. */
  readonly pid: number | undefined;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /**
   * Resolves when it has ended. Both this and `ended` reject with BrokerError `extension_failed` when it
   * could not be started.
   */
  readonly exited: Promise<ExitStatus>;
  /** Resolves when it has ended and all its output has been read, also after a kill. */
  readonly ended: Promise<ExitStatus>;
  /** Kills it and all processes that it has started. What it has written to standard output is dropped. */
  kill(): void;
}

export interface ExitStatus {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface ChildOptions {
  /** The extension's name, for messages. */
  readonly name: string;
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Called with its output on standard error. */
  onStderr(bytes: Buffer): void;
}

const windows = process.platform === 'win32';

/** Variables of the broker's environment that no extension needs. */
const withheld = new Set(['BPBROKER_ACCESS_KEY', 'BPBROKER_DISCOVER_KEY']);

/**
 * Variables that keep a child safe: it must not load or leave files that its owner did not write, and its
 * encoding must be the broker's. Python then writes no byte code. Bun without a home would otherwise store
 * compiled code where all may write.
 */
const settled = {
  PYTHONDONTWRITEBYTECODE: '1',
  PYTHONUTF8: '1',
  PYTHONIOENCODING: 'utf-8:backslashreplace',
  BUN_RUNTIME_TRANSPILER_CACHE_PATH: '0',
};

/** Other users can at most read the files that a child creates. */
const UMASK = 0o022;

/** @throws BrokerError `extension_failed` where the system refuses to start it. */
export function startChild(options: ChildOptions): Child {
  const child = spawnChild(options);
  const { stdin, stdout, stderr } = child;
  let running = true;
  stderr.on('data', options.onStderr);
  // A process that has ended does not read; its end is reported elsewhere.
  stdin.on('error', () => undefined);
  const exited = new Promise<ExitStatus>((resolve, reject) => {
    child.once('error', (error) => reject(notStarted(options.name, error)));
    child.once('exit', (code, signal) => {
      running = false;
      resolve({ code, signal });
    });
  });
  const ended = exited.then(async (ending) => {
    await Promise.all([drain(stdout), readRest(stderr)]);
    // A process that it left running may hold these open for any time.
    stderr.destroy();
    stdin.destroy();
    return ending;
  });
  ended.catch(() => undefined);
  return {
    pid: child.pid,
    stdin,
    stdout,
    exited,
    ended,
    kill() {
      // Otherwise its number may belong to another process by now.
      if (running) killTree(child.pid);
      // A process that has left its group goes on, but its output is no longer read. What is in the pipe of
      // standard error still is: the last lines may say why it was killed.
      stdout.destroy();
      if (child.pid === undefined) stderr.destroy();
    },
  };
}

function spawnChild({
  name,
  command,
  cwd,
  env,
}: ChildOptions): ChildProcessByStdio<Writable, Readable, Readable> {
  const [file = '', ...args] = command;
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !withheld.has(key.toUpperCase())),
  );
  try {
    return withUmask(() =>
      spawn(file, args, {
        cwd,
        env: { ...inherited, ...settled, ...env },
        stdio: ['pipe', 'pipe', 'pipe'],
        // A new process group, so that all processes that it starts can be killed with it.
        detached: !windows,
        windowsHide: true,
      }),
    );
  } catch (error) {
    throw notStarted(name, error);
  }
}

/** A child inherits the umask of its parent at its start; the broker's own is restored. */
function withUmask<T>(start: () => T): T {
  // A process has one umask, which only its main thread may set.
  if (windows || !isMainThread) return start();
  const own = process.umask(0o077);
  try {
    process.umask(own | UMASK);
    return start();
  } finally {
    process.umask(own);
  }
}

function notStarted(name: string, error: unknown): BrokerError {
  return new BrokerError('extension_failed', `Extension '${name}' cannot be started: ${reasonOf(error)}`);
}

/**
 * How long to wait for the output of a process that has ended, in milliseconds: a process that it left
 * running may hold it open.
 */
const DRAIN_MS = 250;

function drain(stdout: Readable): Promise<void> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      // Output that its reader has paused is not late.
      if (!stdout.isPaused()) stdout.destroy();
    }, DRAIN_MS);
    const refresh = (): void => void timer.refresh();
    const close = (): void => {
      clearInterval(timer);
      stdout.off('data', refresh);
      resolve();
    };
    stdout.on('data', refresh);
    if (stdout.closed) close();
    else stdout.once('close', close);
  });
}

/** How long standard error is read on after the end of its process, in milliseconds. What is in its pipe can be read at once. */
const REST_MS = 25;

function readRest(stderr: Readable): Promise<void> {
  return new Promise((resolve) => {
    // In a turn that comes late the timer is first: another one lets the pipe be read.
    const timer = setTimeout(() => setImmediate(resolve), REST_MS);
    const close = (): void => {
      clearTimeout(timer);
      resolve();
    };
    if (stderr.closed) close();
    else stderr.once('close', close);
  });
}

function killTree(pid: number | undefined): void {
  if (pid === undefined) return;
  if (windows) {
    const killer = spawn('taskkill', ['/pid', String(pid), '/t', '/f'], {
      stdio: 'ignore',
      windowsHide: true,
    });
    killer.on('error', () => undefined).unref();
    return;
  }
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}
