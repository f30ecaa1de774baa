import { MAX_TIMER_MS } from '../../protocol/formats/duration.ts';

/** A time limit on a request. */
export interface TimeLimit {
  readonly signal: AbortSignal | undefined;
  /** Removes the time limit; the caller's signal still applies. */
  clear(): void;
  /** Stops following the caller's signal too. */
  release(): void;
  timedOut(): boolean;
}

/** A signal that follows `signal`, and is also aborted after `ms`, until it is cleared. */
export function withTimeout(ms: number, signal: AbortSignal | undefined): TimeLimit {
  if (ms > MAX_TIMER_MS)
    return { signal, clear: () => undefined, release: () => undefined, timedOut: () => false };
  const controller = new AbortController();
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    controller.abort(new Error('timed out'));
  }, ms);
  const follow = (): void => controller.abort(signal?.reason);
  if (signal?.aborted) follow();
  signal?.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    clear: () => clearTimeout(timer),
    release() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', follow);
    },
    timedOut: () => late,
  };
}
