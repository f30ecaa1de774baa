import { clearTimeout, setTimeout } from 'node:timers';
import type { Entry } from '../../protocol/entry.ts';

/** Lifetimes of entries, counted on the monotonic clock: setting the system's clock changes none of them. */
export interface Expiry {
  /** (Re)starts the lifetime of an entry that was written, or ends the watch over one that has none now. */
  track(entry: Entry): void;
  /** Restarts a lifetime as it was. */
  renew(name: string): void;
  forget(name: string): void;
  /** Whether the lifetime of just this state of an entry is over. */
  isOver(entry: Entry): boolean;
  close(): void;
}

interface Lifetime {
  readonly name: string;
  readonly revision: number;
  readonly ttlMs: number;
  deadline: number;
  timer: NodeJS.Timeout | undefined;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;
const RETRY_MS = 5000;

/** `expire` is to delete the entry if its lifetime is over; it may reject while the store cannot write. */
export function createExpiry(expire: (name: string) => Promise<unknown>): Expiry {
  const lifetimes = new Map<string, Lifetime>();
  let closed = false;

  function arm(lifetime: Lifetime, delayMs: number): void {
    lifetime.timer = setTimeout(wake, Math.min(Math.max(1, Math.ceil(delayMs)), LONGEST_TIMER_MS), lifetime);
    lifetime.timer.unref();
  }

  function wake(lifetime: Lifetime): void {
    const left = lifetime.deadline - performance.now();
    if (left > 0) {
      arm(lifetime, left);
      return;
    }
    const again = (): void => {
      // Refused for now (no room on the disk), or renewed meanwhile: the lifetime is still watched.
      if (closed || lifetimes.get(lifetime.name) !== lifetime) return;
      const remaining = lifetime.deadline - performance.now();
      arm(lifetime, remaining > 0 ? remaining : RETRY_MS);
    };
    try {
      expire(lifetime.name).then(again, again);
    } catch {
      // As a rejection: it is tried again.
      again();
    }
  }

  function forget(name: string): void {
    const lifetime = lifetimes.get(name);
    if (lifetime === undefined) return;
    clearTimeout(lifetime.timer);
    lifetimes.delete(name);
  }

  return {
    track({ name, revision, ttlMs }) {
      forget(name);
      if (ttlMs === undefined || closed) return;
      const deadline = performance.now() + ttlMs;
      const lifetime: Lifetime = { name, revision, ttlMs, deadline, timer: undefined };
      lifetimes.set(name, lifetime);
      arm(lifetime, ttlMs);
    },
    renew(name) {
      const lifetime = lifetimes.get(name);
      if (lifetime !== undefined) lifetime.deadline = performance.now() + lifetime.ttlMs;
    },
    forget,
    isOver({ name, revision }) {
      const lifetime = lifetimes.get(name);
      return lifetime?.revision === revision && performance.now() >= lifetime.deadline;
    },
    close() {
      closed = true;
      for (const name of lifetimes.keys()) forget(name);
    },
  };
}
