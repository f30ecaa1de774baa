import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { BrokerError, messageOf } from '../../protocol/errors.ts';

/** A process that works for an extension: a host, or the program itself. */
export interface Child {
  /** Absent when it could not be started. */
  readonly pid: number | undefined;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Resolves when it has ended. Rejects with `extension_failed` when it could not be started; so does `ended`. */
  readonly exited: Promise<Ending>;
  /** Resolves when it has ended and all that it printed has been read. */
  readonly ended: Promise<Ending>;
  /** Kills it and whatever it has started. */
  kill(): void;
}

export interface Ending {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface ChildOptions {
  /** The extension's name, for messages. */
  readonly name: string;
  readonly command: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Takes what it prints on standard error. */
  onStderr(bytes: Uint8Array): void;
}

const windows = process.platform === 'win32';

/** Variables of the broker's own environment that are no business of an extension. */
const withheld = new Set(['BPBROKER_ACCESS_KEY', 'BPBROKER_DISCOVER_KEY']);

export function startChild({ name, command, cwd, env, onStderr }: ChildOptions): Child {
  const [file = '', ...args] = command;
  const inherited = Object.fromEntries(Object.entries(process.env).filter(([key]) => !withheld.has(key)));
  const child: ChildProcessByStdio<Writable, Readable, Readable> = spawn(file, args, {
    cwd,
    env: { ...inherited, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    // A process group of its own, so that whatever it starts can be killed with it.
    detached: !windows,
    windowsHide: true,
  });
  child.stderr.on('data', onStderr);
  // A process that has ended does not read; that it ended is told elsewhere.
  child.stdin.on('error', () => undefined);
  const exited = new Promise<Ending>((resolve, reject) => {
    child.once('error', (error) => {
      const reason = messageOf(error);
      reject(new BrokerError('extension_failed', `Extension '${name}' cannot be started: ${reason}`));
    });
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  const ended = exited.then((ending) => drain(child.stdout, ending));
  ended.catch(() => undefined);
  return {
    pid: child.pid,
    stdin: child.stdin,
    stdout: child.stdout,
    exited,
    ended,
    kill: () => killTree(child.pid),
  };
}

/** How long the output of a process that has ended is waited for: something that it left running may hold it open. */
const DRAIN_MS = 250;

function drain(stdout: Readable, ending: Ending): Promise<Ending> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      // Output that its reader holds up is not late.
      if (!stdout.isPaused()) stdout.destroy();
    }, DRAIN_MS);
    const refresh = (): void => void timer.refresh();
    const close = (): void => {
      clearInterval(timer);
      stdout.off('data', refresh);
      resolve(ending);
    };
    stdout.on('data', refresh);
    if (stdout.closed) close();
    else stdout.once('close', close);
  });
}

function killTree(pid: number | undefined): void {
  if (pid === undefined) return;
  if (windows) {
    spawn('taskkill', ['/pid', String(pid), '/t', '/f'], { stdio: 'ignore', windowsHide: true }).unref();
    return;
  }
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has gone already.
  }
}
