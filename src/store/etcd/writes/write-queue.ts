import { BrokerError } from '../../../protocol/errors.ts';
import { resolveWithin } from '../../../protocol/timeout.ts';
import { deferred } from '../promises.ts';

/** The seconds after which the queue may be shorter. */
const RETRY_AFTER = 1;

/**
 * The queue of writes. A fleet that registers at once asks for more than etcd does in the time of one write.
 * A write that waits here is not late yet, and has not been sent.
 */
export interface WriteQueue {
  /**
   * Runs `work` when its turn has come; `waitedMs` says how long that took, 0 without a queue.
   * @throws BrokerError `unavailable` when it has not come within `longestMs` milliseconds: nothing was done.
   */
  run<T>(longestMs: number, work: (waitedMs: number) => Promise<T>): Promise<T>;
}

/** @param atOnce the number of works that run at once. */
export function createWriteQueue(atOnce: number): WriteQueue {
  let free = atOnce;
  /** First come, first served. */
  const waiting = new Set<() => void>();

  /** Waits for a turn, and returns how long it took, in milliseconds. */
  async function enter(longestMs: number): Promise<number> {
    if (free > 0) {
      free--;
      return 0;
    }
    const began = performance.now();
    const turn = deferred<true>();
    const call = (): void => turn.resolve(true);
    waiting.add(call);
    // A write that is no longer in the queue got its turn at the last moment.
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
