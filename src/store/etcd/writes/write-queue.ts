import { BrokerError } from '../../../protocol/errors.ts';
import { resolveWithin } from '../../../protocol/timeout.ts';
import { deferred } from '../promises.ts';

/** When the line may be shorter, in seconds. */
const RETRY_AFTER = 1;

/**
 * The line of those who want to write. A fleet that registers at once asks for more than etcd does in the time that one write may
 * take: whoever waits here is not late yet, and nothing has been sent.
 */
export interface WriteQueue {
  /**
   * Runs `work` when its turn has come; `waitedMs` says how long that took, 0 where there was no line.
   * @throws BrokerError `unavailable` when it has not come within `longestMs`: nothing was done.
   */
  run<T>(longestMs: number, work: (waitedMs: number) => Promise<T>): Promise<T>;
}

/** @param atOnce how many works are under way at once. */
export function createWriteQueue(atOnce: number): WriteQueue {
  let free = atOnce;
  /** First come, first served. */
  const waiting = new Set<() => void>();

  /** Gives how long it took, in milliseconds. */
  async function enter(longestMs: number): Promise<number> {
    if (free > 0) {
      free--;
      return 0;
    }
    const began = performance.now();
    const turn = deferred<true>();
    const call = (): void => turn.resolve(true);
    waiting.add(call);
    // Whoever is in line no more was called at the last moment.
    if ((await resolveWithin(longestMs, turn.promise)) || !waiting.delete(call))
      return performance.now() - began;
    throw new BrokerError(
      'unavailable',
      `Too many writes wait for etcd: this one has waited ${Math.round(longestMs)} ms for its turn, and nothing was written; try again`,
      { retryAfter: RETRY_AFTER },
    );
  }

  function leave(): void {
    const [next] = waiting;
    if (next === undefined) {
      free++;
      return;
    }
    waiting.delete(next);
    next();
  }

  return {
    async run(longestMs, work) {
      const waitedMs = await enter(longestMs);
      try {
        return await work(waitedMs);
      } finally {
        leave();
      }
    },
  };
}
