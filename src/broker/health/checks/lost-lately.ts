/** How long a loss is worth a warning, in milliseconds. */
const WARN_MS = 3_600_000;

/**
 * Tells how many were lost since the start, where some were within the last hour.
 * @param now a clock that only goes forward, in milliseconds.
 */
export function createLostLately(now: () => number): (lost: number) => number | undefined {
  let known = 0;
  let lostAt = -Infinity;
  return (lost) => {
    if (lost > known) lostAt = now();
    known = lost;
    return now() - lostAt > WARN_MS ? undefined : lost;
  };
}
