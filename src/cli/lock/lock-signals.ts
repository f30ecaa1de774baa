const windows = process.platform === 'win32';

/** Signals that end a program by default. */
export const endSignals: readonly NodeJS.Signals[] = windows
  ? ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK']
  : ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];

/** Signals with another meaning to a program. */
const others: readonly NodeJS.Signals[] = windows
  ? []
  : ['SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGTSTP', 'SIGCONT'];

type Handler = (signal: NodeJS.Signals) => void;

/** The signals that this program receives, for their present handler. */
export interface LockSignals {
  /** Passes each signal to `handler` from now on; first those that came without a handler. */
  handTo(handler: Handler): void;
  /** Keeps signals until there is a handler again. */
  keep(): void;
  /** Whether this signal has come so far. */
  haveCome(signal: NodeJS.Signals): boolean;
  /** Restores the system's default for all signals. */
  stop(): void;
}

/** Most signals that are kept; more are dropped. */
const MOST_KEPT = 100;

export function listenToSignals(): LockSignals {
  let handler: Handler | undefined;
  let kept: NodeJS.Signals[] = [];
  const come = new Set<NodeJS.Signals>();
  const take = (signal: NodeJS.Signals): void => {
    come.add(signal);
    if (handler) handler(signal);
    else if (kept.length < MOST_KEPT) kept.push(signal);
  };
  const all = [...endSignals, ...others];
  for (const signal of all) process.on(signal, take);
  return {
    handTo(next) {
      handler = next;
      const earlier = kept;
      kept = [];
      for (const signal of earlier) next(signal);
    },
    keep() {
      handler = undefined;
    },
    haveCome: (signal) => come.has(signal),
    stop() {
      for (const signal of all) process.off(signal, take);
    },
  };
}
