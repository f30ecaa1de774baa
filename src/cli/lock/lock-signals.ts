const windows = process.platform === 'win32';

/** Those that end a program by default. */
export const endings: readonly NodeJS.Signals[] = windows
  ? ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK']
  : ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'];

/** Those that may tell a program something else. */
const others: readonly NodeJS.Signals[] = windows
  ? []
  : ['SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGTSTP', 'SIGCONT'];

type Handler = (signal: NodeJS.Signals) => void;

/** What this program is sent, for whoever it is for at the moment. */
export interface LockSignals {
  /** Hands each signal to `handler` from now on; first those that came while it was for nobody. */
  handTo(handler: Handler): void;
  /** Keeps signals until somebody is there for them. */
  keep(): void;
  /** Whether this one has come so far. */
  haveCome(signal: NodeJS.Signals): boolean;
  /** Lets the system do with signals as by default. */
  stop(): void;
}

/** Most signals that are kept. */
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
  const all = [...endings, ...others];
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
