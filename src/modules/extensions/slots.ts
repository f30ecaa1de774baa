import { BrokerError } from '../../protocol/errors.ts';

/** Lets so many calls run at a time, so many more wait their turn, and refuses the rest. */
export interface Slots {
  /**
   * Waits for a turn and gives the function that ends it.
   * @throws BrokerError `too_many_requests` when too many wait already, or the turn has not come after `waitMs`.
   */
  take(waitMs: number): Promise<() => void>;
}

export function createSlots(what: string, concurrency: number, queue: number): Slots {
  const waiting = new Set<() => void>();
  let taken = 0;

  const release = (): void => {
    const [next] = waiting;
    if (!next) {
      taken -= 1;
      return;
    }
    waiting.delete(next);
    next();
  };
  const releaseOnce = (): (() => void) => {
    let held = true;
    return () => {
      if (held) release();
      held = false;
    };
  };

  return {
    async take(waitMs) {
      if (taken < concurrency) {
        taken += 1;
        return releaseOnce();
      }
      if (waiting.size >= queue) {
        throw new BrokerError(
          'too_many_requests',
          `${what} is busy: ${taken} calls run and ${waiting.size} wait; try again later`,
        );
      }
      await new Promise<void>((resolve, reject) => {
        const turn = (): void => {
          clearTimeout(timer);
          resolve();
        };
        const timer = setTimeout(() => {
          waiting.delete(turn);
          const message = `${what} is busy: no turn came within ${waitMs / 1000} s; try again later`;
          reject(new BrokerError('too_many_requests', message));
        }, waitMs);
        waiting.add(turn);
      });
      return releaseOnce();
    },
  };
}
