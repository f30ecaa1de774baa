import type { Ending } from './ending.ts';

/** Waits for `work`, which may ignore the signal. Throws the reason of a signal that is aborted. */
export async function untilAborted<T>(work: Promise<T>, signal: Ending | undefined): Promise<T> {
  if (!signal) return work;
  // After an abort, nobody uses the outcome.
  work.catch(() => undefined);
  signal.throwIfAborted();
  let giveUp: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    giveUp = () => reject(signal.reason);
    signal.addEventListener('abort', giveUp, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    if (giveUp) signal.removeEventListener('abort', giveUp);
  }
}
