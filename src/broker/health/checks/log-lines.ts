import type { Finding } from '../../../api/readiness.ts';
import { createRecentLosses } from './recent-losses.ts';

/**
 * Checks whether the log was complete within the last hour.
 * @param lostLines the number of lost lines so far; undefined where they are not counted.
 * @param now a monotonic clock in milliseconds; default `performance.now`.
 */
export function createLogCheck(
  lostLines: () => number | undefined,
  now: () => number = () => performance.now(),
): () => Finding {
  const lostLately = createRecentLosses(now);
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
