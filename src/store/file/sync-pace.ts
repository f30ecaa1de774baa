/**
 * How fast the disk has been of late. Where nobody shares a sync, the turn through another thread costs more than the sync itself
 * on a fast disk: it is waited for on the spot then, and everybody else waits too. On a slow disk nobody may.
 */
export interface SyncPace {
  /** Whether the next sync may hold up the process. */
  mayHoldUp(): boolean;
  /** Says how long a sync took, in milliseconds. */
  took(ms: number): void;
}

/** Syncs must take less than this, on average. */
const QUICK_MS = 1;
/** What the latest sync counts for in the average: some dozens are remembered. */
const WEIGHT = 1 / 16;
/** Nothing is known of the disk yet: it takes about 80 quick syncs to believe that it is fast, as after a sync of 1.6 s. */
const UNKNOWN_MS = 100;

export function createSyncPace(): SyncPace {
  let average = UNKNOWN_MS;
  return {
    mayHoldUp: () => average < QUICK_MS,
    took(ms) {
      average += (ms - average) * WEIGHT;
    },
  };
}
