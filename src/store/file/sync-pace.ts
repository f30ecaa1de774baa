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

/** A sync that takes longer is a slow one. */
const QUICK_MS = 1;
/** So many in a row must have been quick: a disk that has stopped to be quick holds up the process once, and then for none of these. */
const QUICK_ONES = 64;

export function createSyncPace(): SyncPace {
  let quick = 0;
  return {
    mayHoldUp: () => quick >= QUICK_ONES,
    took(ms) {
      quick = ms <= QUICK_MS ? quick + 1 : 0;
    },
  };
}
