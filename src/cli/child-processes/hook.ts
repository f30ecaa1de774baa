import { type ChildProcess, spawn } from 'node:child_process';
import { messageOf } from '../../protocol/errors.ts';
import { endGroup } from './process-group.ts';

/** A user's command for one event. */
export interface Hook {
  /** For the shell of the system. */
  readonly command: string;
  /** What it gets on standard input. */
  readonly input: string;
  /** Variables of its environment besides our own. */
  readonly env: Readonly<Record<string, string>>;
  /** Ends it, with whatever it has started. */
  readonly signal?: AbortSignal | undefined;
}

const windows = process.platform === 'win32';

/** What ends this program by default. */
const endings = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT'] as const;

/**
 * Runs a command, and gives what went wrong with it; `''` for nothing. It does not outlive this program: a signal that ends
 * us ends it first, with all of its process group, and so does `signal`.
 */
export async function runHook({ signal, ...hook }: Hook): Promise<string> {
  if (signal?.aborted) return `it was not begun, since ${messageOf(signal.reason)}`;
  let child: ChildProcess | undefined;
  let cut: Promise<void> | undefined;
  const end = (by: NodeJS.Signals): Promise<void> =>
    (cut ??= child?.pid === undefined ? Promise.resolve() : endGroup(child.pid, by));
  const late = (): void => void end('SIGTERM');
  // Before it starts: a signal that comes as it does would end us, and not it.
  passOnSignals();
  endRunning = end;
  signal?.addEventListener('abort', late, { once: true });
  try {
    child = startShell(hook);
    const outcome = await endOf(child);
    await cut;
    return signal?.aborted && cut ? `it was ended, since ${messageOf(signal.reason)}` : outcome;
  } finally {
    signal?.removeEventListener('abort', late);
    endRunning = undefined;
  }
}

/** Ends the command that runs now. */
let endRunning: ((by: NodeJS.Signals) => Promise<void>) | undefined;
let isPassingOn = false;

/**
 * From the first command on, for as long as this program runs: a runtime that has a signal at hand and finds its listener removed
 * forgets the signal, and nothing would end.
 */
function passOnSignals(): void {
  if (isPassingOn) return;
  isPassingOn = true;
  let isEnding = false;
  for (const by of endings) {
    // A second one, as of somebody who presses Ctrl-C again, must not end us before what we have started.
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
    // What it prints is no result: standard output stays ours.
    stdio: ['pipe', 2, 2],
    env: { ...process.env, ...env },
    // A process group of its own, so that whatever it starts can be ended with it.
    detached: !windows,
    windowsHide: true,
  });
  // A command that does not read its input is in its right.
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
 * Ends this program as the signal would have done, had it not been waited for. A shell has 128 and its number of it, as of an
 * exit code; and bash, which was sent SIGINT as well, goes on with its script after an exit code and ends after the signal.
 */
export function endAs(by: NodeJS.Signals): void {
  for (const one of endings) process.removeAllListeners(one);
  if (windows) process.exit(1);
  process.kill(process.pid, by);
}
