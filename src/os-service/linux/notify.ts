import { spawn } from 'node:child_process';
import type { Environment } from '../../config/paths.ts';
import { messageOf } from '../../protocol/errors.ts';

/**
 * Messages of the broker to the service manager that started it (`sd_notify(3)`). Without a manager, every
 * call does nothing. No call rejects: a manager that cannot be reached must not end the broker.
 */
export interface Notify {
  /** The broker answers now; `systemctl status` shows `status`. */
  ready(status: string): Promise<void>;
  /** The broker reads its options again; {@link ready} must follow. */
  reloading(): Promise<void>;
  stopping(): Promise<void>;
  /**
   * The broker is well. After the first call, each must follow within {@link watchdogMs}, or the broker is
   * restarted.
   */
  watchdog(): Promise<void>;
  status(text: string): Promise<void>;
  /** Resolves when the manager has received all messages. When a service ends, the rest is killed. */
  delivered(): Promise<void>;
  /** The longest time between two calls of `watchdog`, in milliseconds; absent without a watchdog. */
  readonly watchdogMs: number | undefined;
}

export interface NotifyOptions {
  /** Default: the environment of this process; see {@link takeNotifyVariables}. */
  readonly env: Environment;
  /** Sends assignments such as `READY=1`; default: by `systemd-notify`. */
  readonly send?: (assignments: readonly string[], env: Environment) => Promise<void>;
  /** Called with a message that could not be sent. */
  readonly onError: (reason: string) => void;
}

export function createNotify({ env, send = sendByProgram, onError }: NotifyOptions): Notify {
  let last: Promise<void> = Promise.resolve();
  // One after another, so that a repeated readiness cannot arrive after a stop.
  const tell = (...assignments: string[]): Promise<void> => {
    if (env['NOTIFY_SOCKET'])
      last = last.then(() => send(assignments, env)).catch((error: unknown) => onError(messageOf(error)));
    return last;
  };
  const microseconds = Number(env['WATCHDOG_USEC']);
  const watchdogMs = env['NOTIFY_SOCKET'] && microseconds > 0 ? microseconds / 1000 : undefined;
  // Repeated with every watchdog message: before version 246, systemd may lose the message of a child that
  // has ended.
  let again: readonly string[] = [];
  return {
    watchdogMs,
    async ready(status) {
      again = ['READY=1'];
      await tell('READY=1', `STATUS=${oneLine(status)}`);
    },
    async reloading() {
      again = [];
      await tell('RELOADING=1');
    },
    async stopping() {
      again = [];
      await tell('STOPPING=1');
    },
    watchdog: async () => (watchdogMs === undefined ? undefined : tell(...again, 'WATCHDOG=1')),
    status: (text) => tell(`STATUS=${oneLine(text)}`),
    delivered: () => last,
  };
}

const variables = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const;

/**
 * Removes the variables of this protocol from `env` and returns them: an extension must not send messages for
 * the broker.
 */
export function takeNotifyVariables(env: Record<string, string | undefined>): Environment {
  const taken = Object.fromEntries(variables.map((name) => [name, env[name]]));
  for (const name of variables) delete env[name];
  return taken;
}

function oneLine(text: string): string {
  return text.replaceAll(/[\r\n]+/g, ' ');
}

/**
 * The socket accepts datagrams of the unix domain, which no runtime can send. The program of systemd can. It
 * ends when the manager has received the message.
 */
function sendByProgram(assignments: readonly string[], env: Environment): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('systemd-notify', assignments, {
      env: { PATH: process.env['PATH'], NOTIFY_SOCKET: env['NOTIFY_SOCKET'] },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let printed = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (printed += text));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(printed.trim() || `systemd-notify ended with ${code ?? signal}`));
    });
  });
}
