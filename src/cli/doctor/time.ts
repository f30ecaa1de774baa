import type { Deadline } from '../../client/connection/retry.ts';

/** How long one step may take: so many milliseconds, and never longer than what is left of the whole. */
export function atMost(deadline: Deadline, ms: number): number {
  return Math.max(1, Math.min(ms, deadline.left()));
}
