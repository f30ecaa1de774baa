/** Locks by name among the calls of extensions, which run in separate processes. */
export interface Locks {
  /**
   * Waits until `holder` has the lock. A holder that has it already may take it again.
   * @param signal ends the wait; default: nothing ends it.
   * @throws the reason of an aborted `signal`.
   */
  acquire(name: string, holder: object, signal?: AbortSignal): Promise<void>;
  /** Releases it once; does nothing where `holder` does not have it. */
  release(name: string, holder: object): void;
  /** Releases all locks of `holder`, and removes it from every queue. */
  releaseAll(holder: object): void;
}

interface Lock {
  holder: object;
  /** How often its holder has taken it. */
  depth: number;
  readonly waiting: Waiter[];
}

interface Waiter {
  readonly holder: object;
  take(): void;
}

export function createLocks(): Locks {
  const locks = new Map<string, Lock>();

  const pass = (name: string, lock: Lock): void => {
    const next = lock.waiting.shift();
    if (!next) {
      locks.delete(name);
      return;
    }
    lock.holder = next.holder;
    lock.depth = 1;
    next.take();
  };

  return {
    async acquire(name, holder, signal) {
      signal?.throwIfAborted();
      const lock = locks.get(name);
      if (!lock) {
        locks.set(name, { holder, depth: 1, waiting: [] });
      } else if (lock.holder === holder) {
        lock.depth += 1;
      } else {
        await new Promise<void>((resolve, reject) => {
          const leave = (): void => {
            const at = lock.waiting.indexOf(waiter);
            if (at >= 0) lock.waiting.splice(at, 1);
            // oxlint-disable-next-line typescript/prefer-promise-reject-errors -- the reason of the signal
            reject(signal?.reason);
          };
          const waiter: Waiter = {
            holder,
            take() {
              signal?.removeEventListener('abort', leave);
              resolve();
            },
          };
          lock.waiting.push(waiter);
          signal?.addEventListener('abort', leave, { once: true });
        });
      }
    },
    release(name, holder) {
      const lock = locks.get(name);
      if (lock?.holder !== holder) return;
      lock.depth -= 1;
      if (lock.depth === 0) pass(name, lock);
    },
    releaseAll(holder) {
      for (const [name, lock] of locks) {
        for (let at = lock.waiting.length - 1; at >= 0; at--) {
          if (lock.waiting[at]?.holder === holder) lock.waiting.splice(at, 1);
        }
        if (lock.holder === holder) pass(name, lock);
      }
    },
  };
}
