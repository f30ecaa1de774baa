import { type ChildProcess, spawn } from 'node:child_process';
import { messageOf } from '../../protocol/errors.ts';
import { endGroup } from './process-group.ts';

/** A user's command for one event. */
export interface Hook {
  /** For the shell of the system. */
  readonly command: string;
  /** Its standard input. */
  readonly input: string;
  /** Variables of its environment, besides ours. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends it, with all that it has started. */
  readonly signal?: AbortSignal | undefined;
}

const windows = process.platform === 'win32';

/** The signals that end this program by default. */
const endings = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const;

/**
 * Runs a command. Returns what went wrong with it; `''` when nothing did. The command does not outlive this
 * program. A signal that ends us, and an aborted `signal`, end the command's process group first.
 */
export async function runHook({ signal, ...hook }: Hook): Promise<string> {
  if (signal?.aborted) return `it was not started, because ${messageOf(signal.reason)}`;
  // The signal that ends us may find events that wait. A command for one of them would outlive us.
  if (isEnding) return new Promise(() => undefined);
  let child: ChildProcess | undefined;
  let cut: Promise<void> | undefined;
  const end = (by: NodeJS.Signals): Promise<void> =>
    (cut ??= child?.pid === undefined ? Promise.resolve() : endGroup(child.pid, by));
  const late = (): void => void end('SIGTERM');
  // Set before the command starts: a signal during the start must not end us alone.
  passOnSignals();
  endRunning = end;
  signal?.addEventListener('abort', late, { once: true });
  try {
    child = startShell(hook);
    const outcome = await endOf(child);
    await cut;
    return signal?.aborted && cut ? `it was ended, because ${messageOf(signal.reason)}` : outcome;
  } finally {
    signal?.removeEventListener('abort', late);
    endRunning = undefined;
  }
}

/** Ends the command that runs now. */
let endRunning: ((by: NodeJS.Signals) => Promise<void>) | undefined;
let isPassingOn = false;
/** Whether a signal ends this program: no command starts any more. */
let isEnding = false;

/**
 * Listens from the first command until this program ends. Some runtimes forget a pending signal when its
 * listener has been removed, and then nothing would end.
 */
function passOnSignals(): void {
  if (isPassingOn) return;
  isPassingOn = true;
  for (const by of endings) {
    // A second signal, such as another Ctrl-C, must not end us before the processes that we started.
    process.on(by, () => {
      if (isEnding) return;
      isEnding = true;
      void Promise.resolve(endRunning?.(by)).then(() => endAs(by));
    });
  }
}

function startShell({ command, input, env }: Omit<Hook, 'signal'>): ChildProcess {
  const child = spawn(command, {
    shell: true,
    // Its output is not our result: standard output stays ours.
    stdio: ['pipe', 2, 2],
    env: { ...process.env, ...env },
    // A process group of its own, so that all that it starts can be ended with it.
    detached: !windows,
    windowsHide: true,
  });
  // A command may ignore its input.
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input);
  return child;
}

function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(messageOf(error)));
    child.once('exit', (code, by) => resolve(code === 0 ? '' : `exit code ${code ?? by}`));
  });
}

/**
 * Ends this program as the signal would have done without a listener. A shell sees 128 plus its number, as
 * with an exit code. But bash, which received SIGINT too, stops its script only after a signal, and not after
 * an exit code.
 */
export function endAs(by: NodeJS.Signals): void {
  for (const one of endings) process.removeAllListeners(one);
  if (windows) process.exit(1);
  process.kill(process.pid, by);
}
