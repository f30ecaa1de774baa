import { uptime } from 'node:os';

/** A clock that nobody sets, and that goes on while the machine sleeps. In milliseconds. */
export interface LeaseClock {
  now(): number;
}

/** Less than this between the two clocks is no sleep: some runtimes tell the time since the boot in whole seconds. */
const COARSE_MS = 2000;

/**
 * The monotonic clock does not move while the machine sleeps (Linux), and the broker's goes on. The time since the boot counts sleep, so
 * what it is ahead by is added.
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

/** Where a program may not ask for it (Deno without `--allow-sys`), the monotonic clock is all there is. */
function sinceBoot(): number {
  try {
    return uptime() * 1000;
  } catch {
    return performance.now();
  }
}
