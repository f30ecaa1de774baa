import type { Call } from '../module.ts';

/** Told of waits. */
export interface WaitObserver {
  began(): void;
  /** @param outcome `met`: its condition; `gone`: its caller, or the broker stops. */
  ended(seconds: number, outcome: WaitOutcome): void;
}

export type WaitOutcome = 'met' | 'timeout' | 'gone';

/**
 * What a wait gives that `begin` begins, or nothing when `ms` have passed before its end. It throws the reason for which the
 * call is aborted.
 * @param begin is given the signal that ends the wait.
 */
export async function waitAtMost<T>(
  ms: number,
  call: Pick<Call, 'signal' | 'keepOpen'>,
  begin: (signal: AbortSignal) => Promise<T>,
  observer?: WaitObserver,
): Promise<T | undefined> {
  call.keepOpen();
  const since = performance.now();
  let outcome: WaitOutcome = 'gone';
  observer?.began();
  const { signal } = call;
  const ending = new AbortController();
  const late = new Error('The time to wait is over');
  const follow = (): void => ending.abort(signal.reason);
  const timer = setTimeout(() => ending.abort(late), ms);
  signal.addEventListener('abort', follow, { once: true });
  if (signal.aborted) follow();
  try {
    const given = await begin(ending.signal);
    outcome = 'met';
    return given;
  } catch (error) {
    if (error !== late) throw error;
    outcome = 'timeout';
    return undefined;
  } finally {
    observer?.ended((performance.now() - since) / 1000, outcome);
    clearTimeout(timer);
    signal.removeEventListener('abort', follow);
  }
}
