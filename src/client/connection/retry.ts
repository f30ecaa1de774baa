import { formatDuration } from '../../protocol/formats/duration.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';

/** The time by which something must have happened. */
export interface Deadline {
  /** Milliseconds left, never below 0; `Infinity` without a limit. */
  left(): number;
  /** The error of a deadline that has passed; `cause` says what prevented success, if that is known. */
  error(waitedFor: string, cause?: unknown): BrokerError;
}

/** A deadline `ms` from now, by the monotonic clock. `undefined` or `Infinity`: no limit. */
export function deadlineIn(ms: number = Infinity): Deadline {
  const at = performance.now() + ms;
  return {
    left: () => Math.max(0, at - performance.now()),
    error(waitedFor, cause) {
      const reason = cause === undefined ? '' : `: ${messageOf(cause)}`;
      return new BrokerError(
        'timeout',
        `Gave up waiting for ${waitedFor} after ${formatDuration(ms)}${reason}`,
        { cause },
      );
    },
  };
}

/**
 * Pauses between attempts: 100 ms, doubling to 2 s. Each varies a little by chance, so that many clients do
 * not come at once.
 */
export function backoff(): { pause(deadline: Deadline, signal?: AbortSignal): Promise<void>; reset(): void } {
  let ms = 100;
  return {
    async pause(deadline, signal) {
      const jittered = ms * (0.75 + Math.random() / 2);
      ms = Math.min(ms * 2, 2000);
      await sleep(Math.min(jittered, deadline.left()), signal);
    },
    reset() {
      ms = 100;
    },
  };
}

/**
 * Rejects with the reason of `signal` when it is aborted. It uses only features of every runtime, since the
 * app must run anywhere.
 */
function sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', end);
      resolve();
    }, ms);
    signal?.addEventListener('abort', end, { once: true });
    if (signal?.aborted) end();
  });
}

const passing: ReadonlySet<string> = new Set(['unreachable', 'unavailable', 'too_many_requests']);

/**
 * Whether a later attempt may succeed after this error: the broker cannot be reached now, is not ready, or
 * has too many requests.
 */
export function isTransient(error: unknown): boolean {
  return error instanceof BrokerError && passing.has(error.code);
}

/**
 * Tries until it succeeds, as long as the failures may pass.
 * @param ms time limit, in milliseconds; 0: one attempt.
 * @param attempt receives the milliseconds that are left for it: `Infinity` with a time limit of 0.
 * @param waitedFor what the error of the time limit names.
 * @throws BrokerError `timeout` with the last cause.
 */
export async function untilReached<T>(
  ms: number,
  attempt: (leftMs: number) => Promise<T>,
  waitedFor = 'the broker',
): Promise<T> {
  if (ms === 0) return attempt(Infinity);
  const deadline = deadlineIn(ms);
  const retry = backoff();
  let cause: unknown;
  for (;;) {
    try {
      return await attempt(deadline.left());
    } catch (error) {
      if (!isTransient(error)) throw error;
      // An attempt that the time limit has cut off says less than the one before.
      if (cause === undefined || deadline.left() > 0) cause = error;
      await retry.pause(deadline);
      if (deadline.left() === 0) throw deadline.error(waitedFor, cause);
    }
  }
}
