import type { Call } from '../module.ts';

/** Notified of waits. */
export interface WaitObserver {
  began(): void;
  /**
   * @param outcome `met`: its condition was met; `gone`: its caller left, or the broker stops; undefined: it
   * was refused.
   */
  ended(seconds: number, outcome: WaitOutcome | undefined): void;
}

export type WaitOutcome = 'met' | 'timeout' | 'gone';

/**
 * The result of the wait that `begin` begins; undefined when `ms` milliseconds pass before its end.
 * @param begin gets the signal that ends the wait.
 * @throws the reason with which the call was aborted.
 */
export async function waitAtMost<T>(
  ms: number,
  call: Pick<Call, 'signal' | 'keepOpen'>,
  begin: (signal: AbortSignal) => Promise<T>,
  observer?: WaitObserver,
): Promise<T | undefined> {
  call.keepOpen();
  const since = performance.now();
  let outcome: WaitOutcome | undefined;
  observer?.began();
  const { signal } = call;
  const ending = new AbortController();
  const late = new Error('The wait has timed out');
  const follow = (): void => ending.abort(signal.reason);
  const timer = setTimeout(() => ending.abort(late), ms);
  signal.addEventListener('abort', follow, { once: true });
  if (signal.aborted) follow();
  try {
    const given = await begin(ending.signal);
    outcome = 'met';
    return given;
  } catch (error) {
    outcome = signal.aborted ? 'gone' : error === late ? 'timeout' : undefined;
    if (error !== late) throw error;
    return undefined;
  } finally {
    observer?.ended((performance.now() - since) / 1000, outcome);
    clearTimeout(timer);
    signal.removeEventListener('abort', follow);
  }
}
