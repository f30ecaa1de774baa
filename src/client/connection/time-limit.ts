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
 * follows. The first reason stays, and once it has come, nothing is followed any more.
 */
export function withTimeout(ms: number, ...signals: readonly (Ending | undefined)[]): TimeLimit {
  const controller = new AbortController();
  const followed: { readonly signal: Ending; readonly follow: () => void }[] = [];
  let late = false;
  const release = (): void => {
    clearTimeout(timer);
    for (const { signal, follow } of followed.splice(0)) signal.removeEventListener('abort', follow);
  };
  const end = (reason: unknown): void => {
    release();
    controller.abort(reason);
  };
  const timeOut = (): void => {
    late = true;
    end(new Error('timed out'));
  };
  const timer = ms > MAX_TIMER_MS ? undefined : setTimeout(timeOut, ms);
  for (const signal of signals) {
    if (!signal || controller.signal.aborted) continue;
    const follow = (): void => end(signal.reason);
    if (signal.aborted) {
      follow();
      continue;
    }
    signal.addEventListener('abort', follow, { once: true });
    followed.push({ signal, follow });
  }
  return {
    signal: controller.signal,
    clear: () => clearTimeout(timer),
    release,
    timedOut: () => late,
  };
}
