import type { Ending } from '../../protocol/ending.ts';
import { MAX_TIMER_MS } from '../../protocol/formats/duration.ts';

/** A time limit on a request. */
export interface TimeLimit {
  readonly signal: AbortSignal;
  /** Removes the time limit; the caller's signals still apply. */
  clear(): void;
  /** Stops following the caller's signals too. */
  release(): void;
  timedOut(): boolean;
}

/**
 * A signal that follows `signals`, and is also aborted after `ms`, until it is cleared. `Infinity`: it only
 * follows. The first reason stays.
 */
export function withTimeout(ms: number, ...signals: readonly (Ending | undefined)[]): TimeLimit {
  const controller = new AbortController();
  let late = false;
  const end = (): void => {
    late = true;
    controller.abort(new Error('timed out'));
  };
  const timer = ms > MAX_TIMER_MS ? undefined : setTimeout(end, ms);
  const followed = signals.flatMap((signal) => {
    if (!signal) return [];
    const follow = (): void => controller.abort(signal.reason);
    if (signal.aborted) follow();
    else signal.addEventListener('abort', follow, { once: true });
    return [{ signal, follow }];
  });
  return {
    signal: controller.signal,
    clear: () => clearTimeout(timer),
    release() {
      clearTimeout(timer);
      for (const { signal, follow } of followed) signal.removeEventListener('abort', follow);
    },
    timedOut: () => late,
  };
}
