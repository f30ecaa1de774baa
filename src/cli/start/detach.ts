import { runtime } from '#runtime';
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';
import { formatDuration, parseDuration } from '../../protocol/formats/duration.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { fatalJson, fatalMessageOf, fatalText } from '../../protocol/formats/fatal-line.ts';
import type { Arguments } from '../command.ts';
import { newBrokerFile } from '../options/broker-file.ts';
import type { OptionName } from '../options/options.ts';
import { type Announcement, sayAnnouncement } from './ready-line.ts';
import { writeError } from '../terminal/terminal.ts';
import { closeLog, type LogFile, openLog } from './log-file.ts';
import { makeReadyFile, type ReadyFile } from './ready-file.ts';
import { brokerOptions } from './broker-options.ts';

/**
 * Longest time for a broker to become ready without `--timeout`, in milliseconds: the same as in the systemd
 * unit of install-service.
 */
const READY_MS = 5 * 60_000;
const LOOK_EVERY_MS = 20;
/**
 * The signals that end a broker which is not ready, and the time that each has. The broker may be writing. So
 * the first signal ends it in an orderly way, and the second one ends it when it hangs.
 */
const steps = [
  ['SIGTERM', 2000],
  ['SIGTERM', 8000],
  ['SIGKILL', 10_000],
] as const;

/** The options that the broker itself takes. */
const passedOn: readonly OptionName[] = ['config', ...brokerOptions];

const endings = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The outcome of the broker that was started. */
type Outcome =
  | { readonly ready: Announcement }
  | { readonly ended: number | NodeJS.Signals }
  | { readonly error: Error }
  | { readonly signal: (typeof endings)[number] }
  | 'late';

/**
 * Starts a broker in a session of its own, and returns once it is ready. It keeps the current folder, so that
 * paths mean the same as in the foreground. It reads no input, and its output goes to its log.
 * @returns the exit code: that of a broker that has failed, whose message is repeated.
 * @throws BrokerError `usage`, `invalid_config`.
 * @throws BrokerError `timeout` when it is not ready in time; then it is ended.
 */
export async function startDetached(args: Arguments): Promise<number> {
  const timeout = args.text('timeout');
  const limitMs = timeout === undefined ? READY_MS : parseDuration(timeout, '--timeout');
  const log = await openLog(args, newBrokerFile(args));
  const ready = makeReadyFile();
  // This comes before the broker exists: a signal that ended this command alone would leave it running.
  const interruption = onInterruption();
  try {
    const child = start(args, log, ready);
    const outcome = await outcomeOf(child, { ready, limitMs, interruption });
    return await conclude(outcome, child, {
      log,
      limitMs,
      isJson: ['json', 'auto'].includes(args.text('log-format') ?? ''),
    });
  } finally {
    interruption.release();
    ready.remove();
    closeLog(log);
  }
}

function start(args: Arguments, { fd }: LogFile, ready: ReadyFile): ChildProcess {
  const options = passedOn.flatMap((name) => {
    // Also one from a variable is read: what is wrong with it is said here. The broker has it from there itself.
    const value = args.text(name);
    return value === undefined || !args.flag(name) ? [] : [`--${name}=${value}`];
  });
  const [program = '', ...words] = runtime.ownCommand();
  return spawn(program, [...words, 'start', ...options], {
    // By the name that this program was called with: an executable is the broker or the client by its name.
    argv0: process.argv0,
    stdio: ['ignore', fd, fd],
    env: { ...process.env, ...ready.env },
    // A session of its own, so that no terminal can interrupt it, or end it by closing.
    detached: true,
    windowsHide: true,
  });
}

interface Interruption {
  /** The first signal that asks this command to end. */
  readonly signal: Promise<(typeof endings)[number]>;
  /** A further signal ends this command at once. */
  release(): void;
}

function onInterruption(): Interruption {
  let interrupted!: (signal: NodeJS.Signals) => void;
  const signal = new Promise<(typeof endings)[number]>((resolve) => {
    interrupted = (name) => resolve(name as (typeof endings)[number]);
  });
  for (const name of endings) process.once(name, interrupted);
  return {
    signal,
    release() {
      for (const name of endings) process.off(name, interrupted);
    },
  };
}

interface Awaiting {
  readonly ready: ReadyFile;
  readonly limitMs: number;
  readonly interruption: Interruption;
}

function outcomeOf(child: ChildProcess, { ready, limitMs, interruption }: Awaiting): Promise<Outcome> {
  return new Promise((resolve) => {
    const deadline = performance.now() + limitMs;
    const settle = (outcome: Outcome): void => {
      clearInterval(timer);
      interruption.release();
      resolve(outcome);
    };
    const timer = setInterval(() => {
      const announcement = ready.read();
      if (announcement) settle({ ready: announcement });
      else if (performance.now() > deadline) settle('late');
    }, LOOK_EVERY_MS);
    void interruption.signal.then((signal) => settle({ signal }));
    child.once('error', (error) => settle({ error }));
    child.once('exit', (code, signal) => settle({ ended: code ?? signal ?? 1 }));
  });
}

async function conclude(
  outcome: Outcome,
  child: ChildProcess,
  { log, limitMs, isJson }: { readonly log: LogFile; readonly limitMs: number; readonly isJson: boolean },
): Promise<number> {
  if (outcome === 'late') {
    // Read before the broker is ended: later lines do not say what delayed it.
    const last = lastOf(log);
    await end(child);
    throw new BrokerError(
      'timeout',
      `Gave up waiting for the broker to be ready after ${formatDuration(limitMs)}, and ended it; ${last}`,
    );
  }
  if ('ready' in outcome) {
    child.unref();
    await sayAnnouncement(outcome.ready, { pid: child.pid ?? 0, log: log.path });
    return 0;
  }
  if ('error' in outcome)
    throw new BrokerError('internal', `Cannot start the broker: ${messageOf(outcome.error)}`, {
      cause: outcome.error,
    });
  if ('signal' in outcome) {
    await end(child);
    return 128 + (constants.signals[outcome.signal] ?? 0);
  }
  const { ended } = outcome;
  // The reason of the failure, in the words of the broker.
  const said = log.newLines().findLast((line) => fatalMessageOf(line) !== undefined);
  const how = typeof ended === 'number' ? `with exit code ${ended}` : `by ${ended}`;
  const message = `The broker ended ${how} before it was ready; ${lastOf(log)}`;
  const code = typeof ended === 'number' ? ended || 1 : 128 + (constants.signals[ended] ?? 0);
  writeError(`${said ?? (isJson ? fatalJson(message, code) : fatalText(message))}\n`);
  return code;
}

function lastOf(log: LogFile): string {
  const last = log.newLines().at(-1);
  return last === undefined
    ? `it has written nothing to its log ${log.path}`
    : `the last line of its log ${log.path} is: ${messageOf(last)}`;
}

async function end(child: ChildProcess): Promise<void> {
  let isOver = false;
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => {
      isOver = true;
      resolve();
    });
  });
  for (const [signal, ms] of steps) {
    if (isOver || child.pid === undefined) return;
    sendTo(child.pid, signal);
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, ms))]);
  }
}

/** Not the child's own `kill`, which sends only one signal under Deno. */
function sendTo(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
