import type { Finding } from '../../../api/readiness.ts';
import type { AuditState } from '../../audit/broker-audit.ts';
import { createRecentLosses } from './recent-losses.ts';

/**
 * Checks whether the audit trail can be written, and was complete within the last hour. It fails where writes
 * are refused without it.
 * @param state the present state of the trail; undefined where there is none, and then nothing is checked.
 * @param now a monotonic clock in milliseconds; default `performance.now`.
 */
export function createAuditCheck(
  state: () => AuditState | undefined,
  now: () => number = () => performance.now(),
): () => Finding | undefined {
  const lostLately = createRecentLosses(now);
  return () => {
    const found = state();
    if (!found) return undefined;
    const { file = 'the log', problem, isRequired, waiting } = found;
    const lost = lostLately(found.lost);
    const missing =
      lost === undefined ? '' : `${counted(lost)} lost since the start, the last within this hour`;
    if (problem !== undefined) {
      const what = `the audit trail ${file} cannot be written: ${problem}`;
      if (isRequired) return { ok: false, reason: `writes are refused: ${what}` };
      return { ok: true, warning: `${what}; ${counted(waiting)} waiting${missing && `, ${missing}`}` };
    }
    return missing === '' ? { ok: true } : { ok: true, warning: `of the audit trail ${file} ${missing}` };
  };
}

function counted(lines: number): string {
  return lines === 1 ? '1 line is' : `${lines} lines are`;
}
