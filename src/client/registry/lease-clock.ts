import { uptime } from 'node:os';

/** A clock in milliseconds that nobody sets, and that goes on while the machine sleeps. */
export interface LeaseClock {
  now(): number;
}

/**
 * A smaller difference between the two clocks does not show a sleep: some runtimes give the time since boot
 * in whole seconds.
 */
const COARSE_MS = 2000;

/**
 * The monotonic clock stops while the machine sleeps (Linux), and the broker's clock goes on. The time since
 * boot counts sleep, so its lead is added.
 */
export function createLeaseClock(): LeaseClock {
  const offset = sinceBoot() - performance.now();
  return {
    now() {
      const monotonic = performance.now();
      const slept = sinceBoot() - monotonic - offset;
      return slept > COARSE_MS ? monotonic + slept : monotonic;
    },
  };
}

/** Without the right to ask for it (Deno without `--allow-sys`), only the monotonic clock is used. */
function sinceBoot(): number {
  try {
    return uptime() * 1000;
  } catch {
    return performance.now();
  }
}
