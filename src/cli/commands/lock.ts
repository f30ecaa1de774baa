import { runtime } from '#runtime';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { marginOf } from '../../client/registry/lease.ts';
import type { BrokerClient } from '../../client/client.ts';
import { type Lock, type LockOptions, SHORTEST_TTL_MS } from '../../client/registry/lock.ts';
import { MAX_TIMER_MS } from '../../protocol/formats/duration.ts';
import { fatalText } from '../../protocol/formats/fatal-line.ts';
import type { Run } from '../command.ts';
import { LOCK_NAME_VARIABLE, LOCK_REVISION_VARIABLE } from '../lock/held-lock.ts';
import { type WatchedCommand, startWithWatchdog } from '../lock/watchdog.ts';
import { endSignals, listenToSignals, type LockSignals } from '../lock/lock-signals.ts';
import { endAs } from '../child-processes/hook.ts';
import { endGroup, killGroup, signalGroup, signalProcess } from '../child-processes/process-group.ts';
import { readLifetime } from '../options/numbers.ts';
import { withSession } from '../session/session.ts';
import { flushErrors, writeError } from '../terminal/terminal.ts';

const DEFAULT_TTL_MS = 10_000;
/** Longest wait for our own signal to end us, in milliseconds. */
const ENDING_MS = 1000;

const windows = process.platform === 'win32';

export const run: Run = async (args) => {
  const name = args.required('name');
  const data = args.text('data') ?? '';
  const ttlMs = readLifetime(args, SHORTEST_TTL_MS) ?? DEFAULT_TTL_MS;
  const wait = args.flag('wait');
  const session = { name, wait, orAny: true, keeps: true };
  let isInterrupted = false;
  const code = await withSession(args, session, async ({ client, notices, timeLeft }) => {
    const signals = listenToSignals();
    try {
      const asked = { data, ttlMs, wait, timeoutMs: timeLeft() };
      const lock = await notices.during(`lock '${name}'`, takeLock(client, name, asked, signals));
      if (typeof lock === 'number') return lock;
      try {
        return await runHeld(args.rest, lock, { ttlMs, signals, isForeground: args.flag('foreground') });
      } finally {
        await lock.release();
      }
    } finally {
      isInterrupted = signals.haveCome('SIGINT');
      signals.stop();
    }
  });
  if (isInterrupted && code === codeOf('SIGINT') && !windows) {
    await flushErrors();
    endAs('SIGINT');
    // Deno ends after a moment. If the signal does not end us, the exit code must do.
    await sleep(ENDING_MS);
  }
  return code;
};

/**
 * Takes the lock. Returns the exit code instead if a signal came first. Then the request is ended, or the
 * lock released, before this program ends.
 */
async function takeLock(
  client: BrokerClient,
  name: string,
  options: LockOptions,
  signals: LockSignals,
): Promise<Lock | number> {
  const giveUp = new AbortController();
  let code: number | undefined;
  signals.handTo((signal) => {
    if (signal === 'SIGTSTP') process.kill(process.pid, 'SIGSTOP');
    if (!endSignals.includes(signal)) return;
    // A second signal ends the program at once.
    if (code !== undefined) runtime.exit(code);
    code = codeOf(signal);
    giveUp.abort();
  });
  try {
    // Without a wait, the answer comes soon and shows whether there is a lock to release.
    const lock = await client.lock(name, options.wait ? { ...options, signal: giveUp.signal } : options);
    if (code === undefined) return lock;
    await lock.release();
    return code;
  } catch (error) {
    if (code === undefined) throw error;
    return code;
  } finally {
    signals.keep();
  }
}

function codeOf(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

interface HeldOptions {
  readonly ttlMs: number;
  readonly signals: LockSignals;
  readonly isForeground: boolean;
}

/**
 * Runs the command and returns its exit code. Throws `lock_lost` when it was ended because the lock was lost.
 */
async function runHeld(
  command: readonly string[],
  lock: Lock,
  { ttlMs, signals, isForeground }: HeldOptions,
): Promise<number> {
  const env = { [LOCK_NAME_VARIABLE]: lock.name, [LOCK_REVISION_VARIABLE]: String(lock.revision) };
  const child = await startWithWatchdog(command, { env, isForeground });
  if ('failed' in child) {
    writeError(`${fatalText(child.message)}\n`);
    return child.failed;
  }
  let isEnding = false;
  signals.handTo((signal) => {
    isEnding ||= endSignals.includes(signal);
    passOn(signal, child, lock);
  });
  const code = await Promise.race([child.ended, untilLost(lock)]);
  if (code === undefined) {
    await endLost(child, marginOf(ttlMs) * 0.8);
    lock.signal.throwIfAborted();
  }
  // Nobody may have read the clock yet, such as right after this process was suspended.
  const isLost = !lock.isHeld();
  signals.keep();
  // Processes that the command has left running, and that the signal was meant for too, or that relied on the lock.
  // They are watched until then.
  if ((isEnding || isLost) && child.hasGroup) await endGroup(child.pid, 'SIGTERM');
  await child.letGo();
  if (isLost) lock.signal.throwIfAborted();
  return code ?? 1;
}

/** Signals that a terminal sends to its whole foreground process group. */
const ofTerminal: ReadonlySet<NodeJS.Signals> = new Set(['SIGINT', 'SIGQUIT', 'SIGWINCH']);

function passOn(signal: NodeJS.Signals, child: WatchedCommand, lock: Lock): void {
  const { pid } = child;
  // On Windows the console itself signals every process. Here it is enough to outlive the command.
  if (windows) return;
  if (!child.hasGroup) {
    if (signal === 'SIGTSTP') process.kill(process.pid, 'SIGSTOP');
    else if (signal === 'SIGCONT') lock.isHeld();
    else if (!ofTerminal.has(signal)) signalProcess(pid, signal);
    return;
  }
  switch (signal) {
    case 'SIGTSTP':
      // The system ignores SIGTSTP in a session without a shell that could continue it. So SIGSTOP is sent.
      signalGroup(pid, 'SIGSTOP');
      process.kill(process.pid, 'SIGSTOP');
      break;
    case 'SIGCONT':
      // Checked before the command continues: after the pause, the lock may be another's.
      if (lock.isHeld()) signalGroup(pid, 'SIGCONT');
      break;
    default:
      signalGroup(pid, signal);
  }
}

/** Resolves with `undefined` when the lock is lost. */
function untilLost({ signal }: Lock): Promise<undefined> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
    if (signal.aborted) resolve(undefined);
  });
}

/** Ends the command and its group. It asks first, and kills the rest before another may get the lock. */
async function endLost(child: WatchedCommand, graceMs: number): Promise<void> {
  if (windows) return killGroup(child.pid);
  const deadline = performance.now() + graceMs;
  const send = child.hasGroup ? signalGroup : signalProcess;
  send(child.pid, 'SIGTERM');
  // A stopped command must continue in order to end.
  send(child.pid, 'SIGCONT');
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, Math.min(graceMs, MAX_TIMER_MS), 'late');
  });
  // A timer may fire slightly early, so the clock cannot show which of the two came first.
  const isLate = (await Promise.race([child.ended, late])) === 'late';
  clearTimeout(timer);
  // The whole group is ended: processes of the command may still run after it.
  if (child.hasGroup) await endGroup(child.pid, 'SIGTERM', Math.max(0, deadline - performance.now()));
  else if (isLate) signalProcess(child.pid, 'SIGKILL');
  await child.letGo();
}
