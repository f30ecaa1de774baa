/** How long a loss causes a warning, in milliseconds. */
const WARN_MS = 3_600_000;

/**
 * Returns the number of losses since the start, if some were within the last hour.
 * @param now a monotonic clock in milliseconds.
 */
export function createRecentLosses(now: () => number): (lost: number) => number | undefined {
  let known = 0;
  let lostAt = -Infinity;
  return (lost) => {
    if (lost > known) lostAt = now();
    known = lost;
    return now() - lostAt > WARN_MS ? undefined : lost;
  };
}
