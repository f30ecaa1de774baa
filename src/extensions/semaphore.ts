import { BrokerError } from '../protocol/errors.ts';

/** Limits how many calls run at a time and how many more wait; it refuses the rest. */
export interface Semaphore {
  /**
   * Waits for a turn, for at most `waitMs` milliseconds, and returns the function that ends it.
   * @throws BrokerError `too_many_requests` when too many wait already, or no turn has come by then; the
   * reason of an aborted `signal`.
   */
  take(waitMs: number, signal: AbortSignal): Promise<() => void>;
  /** Resolves when no call runs. */
  idle(): Promise<void>;
}

/** @param onEnd is called with the duration of each turn, in seconds; default: not called. */
export function createSemaphore(
  what: string,
  concurrency: number,
  queue: number,
  onEnd: (seconds: number) => void = () => undefined,
): Semaphore {
  const waiting = new Set<() => void>();
  let taken = 0;

  const idlers = new Set<() => void>();

  const release = (): void => {
    const [next] = waiting;
    if (next) return next();
    taken -= 1;
    if (taken > 0) return;
    for (const tell of idlers) tell();
    idlers.clear();
  };

  const waitForTurn = (waitMs: number, signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const leave = (): void => {
        waiting.delete(turn);
        clearTimeout(timer);
        signal.removeEventListener('abort', abort);
      };
      const turn = (): void => {
        leave();
        resolve();
      };
      const abort = (): void => {
        leave();
        reject(signal.reason);
      };
      const late = (): void => {
        leave();
        reject(busy(`${what} is busy: no turn came within ${waitMs / 1000} s; try again later`));
      };
      const timer = setTimeout(late, waitMs);
      signal.addEventListener('abort', abort, { once: true });
      waiting.add(turn);
    });

  return {
    async take(waitMs, signal) {
      signal.throwIfAborted();
      if (taken < concurrency) taken += 1;
      else if (waiting.size < queue) await waitForTurn(waitMs, signal);
      else throw busy(`${what} is busy: ${taken} calls run and ${waiting.size} wait; try again later`);
      let held = true;
      const since = performance.now();
      return () => {
        if (!held) return;
        held = false;
        onEnd((performance.now() - since) / 1000);
        release();
      };
    },
    async idle() {
      if (taken > 0) await new Promise<void>((resolve) => idlers.add(resolve));
    },
  };
}

function busy(message: string): BrokerError {
  return new BrokerError('too_many_requests', message);
}
