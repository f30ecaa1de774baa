import type { Deadline } from '../../client/connection/retry.ts';

/** The time limit of one step: `ms` milliseconds, but never more than what is left of the whole. */
export function stepLimit(deadline: Deadline, ms: number): number {
  return Math.max(1, Math.min(ms, deadline.left()));
}
