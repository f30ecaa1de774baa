import type { Call } from '../module.ts';

/**
 * What a wait gives that `begin` begins, or nothing when `ms` have passed before its end. It throws the reason for which the
 * call is aborted.
 * @param begin is given the signal that ends the wait.
 */
export async function waitAtMost<T>(
  ms: number,
  call: Pick<Call, 'signal' | 'keepOpen'>,
  begin: (signal: AbortSignal) => Promise<T>,
): Promise<T | undefined> {
  call.keepOpen();
  const { signal } = call;
  const ending = new AbortController();
  const late = new Error('The time to wait is over');
  const follow = (): void => ending.abort(signal.reason);
  const timer = setTimeout(() => ending.abort(late), ms);
  signal.addEventListener('abort', follow, { once: true });
  if (signal.aborted) follow();
  try {
    return await begin(ending.signal);
  } catch (error) {
    if (error === late) return undefined;
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', follow);
  }
}
