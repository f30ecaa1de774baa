/** Locks by name among the calls of extensions, which run in separate processes. */
export interface Locks {
  /** Waits until `holder` has the lock. A holder that has it already may take it again. */
  acquire(name: string, holder: object): Promise<void>;
  /** Releases it once; does nothing where `holder` does not have it. */
  release(name: string, holder: object): void;
  /** Releases all locks of `holder`, and removes it from every queue. */
  releaseAll(holder: object): void;
}

interface Lock {
  holder: object;
  /** How often its holder has taken it. */
  depth: number;
  readonly waiting: { readonly holder: object; readonly take: () => void }[];
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
    async acquire(name, holder) {
      const lock = locks.get(name);
      if (!lock) {
        locks.set(name, { holder, depth: 1, waiting: [] });
      } else if (lock.holder === holder) {
        lock.depth += 1;
      } else {
        await new Promise<void>((resolve) => {
          lock.waiting.push({ holder, take: resolve });
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
