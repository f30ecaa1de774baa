import type { Finding } from '../../../api/readiness.ts';
import { createLostLately } from './lost-lately.ts';

/**
 * Whether the log was whole within the last hour.
 * @param lostLines how many lines were lost so far; nothing where nobody counts them.
 * @param now a clock that only goes forward, in milliseconds; default `performance.now`.
 */
export function createLogCheck(
  lostLines: () => number | undefined,
  now: () => number = () => performance.now(),
): () => Finding {
  const lostLately = createLostLately(now);
  return () => {
    const lost = lostLately(lostLines() ?? 0);
    if (lost === undefined) return { ok: true };
    const lines = lost === 1 ? '1 line' : `${lost} lines`;
    return {
      ok: true,
      warning: `${lines} of the log were lost since the start, the last within this hour: its reader is slow, or its disk full`,
    };
  };
}
