import { MAX_TIMER_MS } from '../../protocol/formats/duration.ts';

/** A time limit on a request. */
export interface TimeLimit {
  readonly signal: AbortSignal | undefined;
  /** Takes the time limit away; the caller's own signal goes on counting. */
  clear(): void;
  /** Lets go of the caller's signal too. */
  release(): void;
  timedOut(): boolean;
}

/** A signal that follows `signal` and is aborted after `ms` as well, until it is cleared. */
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
