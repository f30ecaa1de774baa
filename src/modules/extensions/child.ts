import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { BrokerError, messageOf } from '../../protocol/errors.ts';

/** A process that works for an extension: a host, or the program itself. */
export interface Child {
  /** Absent when it could not be started. */
  readonly pid: number | undefined;
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** How it ended: an exit code, or a signal. Rejects with `extension_failed` when it could not be started. */
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
  const ended = new Promise<Ending>((resolve, reject) => {
    child.once('error', (error) => {
      const reason = messageOf(error);
      reject(new BrokerError('extension_failed', `Extension '${name}' cannot be started: ${reason}`));
    });
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
  ended.catch(() => undefined);
  return {
    pid: child.pid,
    stdin: child.stdin,
    stdout: child.stdout,
    ended,
    kill: () => killTree(child.pid),
  };
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
