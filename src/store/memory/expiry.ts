import type { Entry } from '../../protocol/registry/entry.ts';

/** Lifetimes of entries by the monotonic clock: changes of the system's clock do not affect them. */
export interface Expiry {
  /** Starts the lifetime of a written entry again, or forgets one that has no lifetime now. */
  track(entry: Entry): void;
  /** Starts a lifetime again with the same length. */
  renew(name: string): void;
  forget(name: string): void;
  /**
   * Names whose lifetimes have ended at least a second ago without their timer: a platform may stop timers
   * between requests. A suspended process has renewals to read first, so each lifetime is extended once. It
   * costs nothing while there can be none.
   */
  overdue(): string[];
  /** Milliseconds until a lifetime ends; undefined where there is none. */
  left(name: string): number | undefined;
  /** Whether the lifetime of exactly this state of an entry has ended. */
  isOver(entry: Entry): boolean;
  close(): void;
}

interface Lifetime {
  readonly name: string;
  readonly revision: number;
  readonly ttlMs: number;
  deadline: number;
  /** How often it has been extended since its renewal. */
  graces: number;
  timer: NodeJS.Timeout | undefined;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;
const RETRY_MS = 5000;

/** The pause between two checks whether the process runs, while there are lifetimes, in milliseconds. */
const TICK_MS = 200;
/**
 * If timers come later than this, in milliseconds, the process was stopped, or had no time for its clients.
 */
const LATE_MS = 300;
/** The time to read renewals that have arrived meanwhile, in milliseconds. */
const GRACE_MS = 2000;
/** The most extensions of one lifetime in a row: even a process that is always late lets entries end. */
const MAX_GRACES = 3;
/** A timer that is later than this, in milliseconds, may never come. */
const OVERDUE_MS = 1000;

/** @param expire deletes the entry if its lifetime has ended; it may reject while the store cannot write. */
export function createExpiry(expire: (name: string) => Promise<unknown>): Expiry {
  const lifetimes = new Map<string, Lifetime>();
  let closed = false;
  let ticking: NodeJS.Timeout | undefined;
  let lastTick = 0;
  let graceUntil = 0;
  /** No lifetime ends earlier. */
  let earliest = Infinity;

  /**
   * The monotonic time. It notices when the process was suspended: messages of its clients are then still
   * unread.
   */
  function look(): number {
    const now = performance.now();
    if (ticking !== undefined && now - lastTick > TICK_MS + LATE_MS) graceUntil = now + GRACE_MS;
    lastTick = now;
    return now;
  }

  function tick(): void {
    if (ticking !== undefined) return;
    lastTick = performance.now();
    ticking = setInterval(() => {
      look();
      if (lifetimes.size > 0) return;
      clearInterval(ticking);
      ticking = undefined;
    }, TICK_MS);
    unref(ticking);
  }

  function arm(lifetime: Lifetime, delayMs: number): void {
    lifetime.timer = setTimeout(wake, Math.min(Math.max(1, Math.ceil(delayMs)), LONGEST_TIMER_MS), lifetime);
    unref(lifetime.timer);
  }

  function wake(lifetime: Lifetime): void {
    const now = look();
    if (now >= lifetime.deadline && now < graceUntil && lifetime.graces < MAX_GRACES) {
      lifetime.graces++;
      lifetime.deadline = graceUntil;
    }
    const left = lifetime.deadline - now;
    if (left > 0) {
      arm(lifetime, left);
      return;
    }
    const again = (): void => {
      // It was refused for now (no room on the disk), or renewed meanwhile: the lifetime is still watched.
      if (closed || lifetimes.get(lifetime.name) !== lifetime) return;
      const remaining = lifetime.deadline - performance.now();
      arm(lifetime, remaining > 0 ? remaining : RETRY_MS);
    };
    try {
      expire(lifetime.name).then(again, again);
    } catch {
      // As after a rejection, it is tried again.
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
      const lifetime: Lifetime = { name, revision, ttlMs, deadline, graces: 0, timer: undefined };
      lifetimes.set(name, lifetime);
      earliest = Math.min(earliest, deadline);
      arm(lifetime, ttlMs);
      tick();
    },
    renew(name) {
      const lifetime = lifetimes.get(name);
      if (lifetime === undefined) return;
      lifetime.deadline = performance.now() + lifetime.ttlMs;
      lifetime.graces = 0;
    },
    forget,
    overdue() {
      const since = performance.now() - OVERDUE_MS;
      if (since < earliest) return [];
      const all = [...lifetimes.values()];
      const over = all.filter(({ deadline, graces }) => deadline <= since && graces > 0);
      const left = all.filter((lifetime) => !over.includes(lifetime));
      for (const lifetime of left) {
        if (lifetime.deadline > since) continue;
        lifetime.graces++;
        lifetime.deadline = performance.now() + GRACE_MS;
      }
      earliest = left.reduce((least, { deadline }) => Math.min(least, deadline), Infinity);
      return over.map(({ name }) => name);
    },
    left(name) {
      const lifetime = lifetimes.get(name);
      return lifetime && Math.max(0, lifetime.deadline - performance.now());
    },
    isOver({ name, revision }) {
      const lifetime = lifetimes.get(name);
      return lifetime?.revision === revision && performance.now() >= lifetime.deadline;
    },
    close() {
      closed = true;
      clearInterval(ticking);
      for (const name of lifetimes.keys()) forget(name);
    },
  };
}

/** Lets a process end that has nothing else left to do, where the platform has processes. */
function unref(timer: { unref?(): unknown }): void {
  timer.unref?.();
}
