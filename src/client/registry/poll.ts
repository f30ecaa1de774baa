import type { Ending } from '../../protocol/ending.ts';
import { backoff, type Deadline, deadlineIn, isTransient } from '../connection/retry.ts';
import type { CallOptions } from '../connection/rpc.ts';
import { withTimeout } from '../connection/time-limit.ts';

/** Options of a call that waits. */
export interface WaitOptions {
  /** Time limit of the wait, in milliseconds; default: no limit. */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait; its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Prepares another attempt after one that failed. Returns why the broker is still out of reach, or
 * `undefined`.
 */
export interface Retry {
  (error: unknown, deadline: Deadline, signal?: AbortSignal): Promise<unknown>;
  /** Reports that an attempt was answered. */
  reached?(): void;
}

/** What every wait of a registry needs. */
export interface Waiting {
  readonly reconnect: Retry;
  /** How long one request waits at the broker, in milliseconds. */
  readonly pollMs: number;
  /** Ends every wait; its reason is thrown. */
  readonly closed?: Ending | undefined;
}

/** Repeats a request that waits at the broker, until it has a result or the time is up. */
export async function poll<T>(
  waiting: Waiting,
  { timeoutMs, signal }: WaitOptions,
  waitedFor: string,
  ask: (wait: string, call: CallOptions) => Promise<T | undefined>,
): Promise<T> {
  const ending = withTimeout(Infinity, signal, waiting.closed);
  try {
    return await pollUntil(ending.signal, waiting, deadlineIn(timeoutMs), waitedFor, ask);
  } finally {
    ending.release();
  }
}

async function pollUntil<T>(
  signal: AbortSignal,
  { reconnect, pollMs }: Waiting,
  deadline: Deadline,
  waitedFor: string,
  ask: (wait: string, call: CallOptions) => Promise<T | undefined>,
): Promise<T> {
  const retry = backoff();
  let cause: unknown;
  for (;;) {
    const left = deadline.left();
    const wait = Math.min(pollMs, left);
    // An answer that is due and does not come means a dead connection. After this extra time a new one is
    // made.
    const grace = left > pollMs ? 5000 : 1000;
    try {
      const found = await ask(`${Math.ceil(wait)}ms`, { timeoutMs: wait + grace, signal });
      reconnect.reached?.();
      if (found !== undefined) return found;
      retry.reset();
      cause = undefined;
    } catch (error) {
      if (signal.aborted || !isTransient(error)) throw error;
      await retry.pause(deadline, signal);
      cause = error;
      if (deadline.left() > 0) cause = await reconnect(error, deadline, signal);
    }
    if (deadline.left() === 0) throw deadline.error(waitedFor, cause);
  }
}
