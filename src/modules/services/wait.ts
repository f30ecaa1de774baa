import type { Store, WatchOptions } from '../../store/store.ts';

/**
 * Waits until `check` gives something, asking it at once and then after every change that `watch` covers. Gives nothing
 * when `ms` have passed; throws the reason of an aborted `signal`.
 */
export async function waitUntil<T>(
  store: Store,
  watch: WatchOptions,
  { ms, signal }: { readonly ms: number; readonly signal: AbortSignal },
  check: () => Promise<T | undefined>,
): Promise<T | undefined> {
  const ended = new AbortController();
  const end = (): void => ended.abort();
  const timer = setTimeout(end, ms);
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  // The watch begins before the first check, so that no change can fall between the two.
  const changes = store.watch({ ...watch, signal: ended.signal });
  try {
    for (;;) {
      const found = await check();
      if (found !== undefined) return found;
      const { done } = await changes.next();
      if (signal.aborted) throw signal.reason;
      if (done) return undefined;
    }
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', end);
    end();
    await changes.return?.();
  }
}
