import type { Entry } from '../../protocol/registry/entry.ts';

/** Lifetimes of entries, counted on the monotonic clock: setting the system's clock changes none of them. */
export interface Expiry {
  /** (Re)starts the lifetime of an entry that was written, or ends the watch over one that has none now. */
  track(entry: Entry): void;
  /** Restarts a lifetime as it was. */
  renew(name: string): void;
  forget(name: string): void;
  /**
   * Names whose lifetimes are over by a second and more, though no timer has come: a platform may stop timers between
   * requests. A process that was suspended has renewals to read first, so each is drawn out once. Costs nothing while there can be none.
   */
  overdue(): string[];
  /** Milliseconds until a lifetime ends; nothing where there is none. */
  left(name: string): number | undefined;
  /** Whether the lifetime of just this state of an entry is over. */
  isOver(entry: Entry): boolean;
  close(): void;
}

interface Lifetime {
  readonly name: string;
  readonly revision: number;
  readonly ttlMs: number;
  deadline: number;
  /** How often it has been drawn out since it was renewed. */
  graces: number;
  timer: NodeJS.Timeout | undefined;
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;
const RETRY_MS = 5000;

/** How often it is looked whether the process runs at all, while there are lifetimes. */
const TICK_MS = 200;
/** A process whose timers come later than this has been stopped, or has had no time for its clients. */
const LATE_MS = 300;
/** How long renewals that have come meanwhile may take to be read. */
const GRACE_MS = 2000;
/** How often in a row one lifetime is drawn out so: a process that is late for ever still lets entries go. */
const MAX_GRACES = 3;
/** A timer that is later than this may not come at all. */
const OVERDUE_MS = 1000;

/** `expire` is to delete the entry if its lifetime is over; it may reject while the store cannot write. */
export function createExpiry(expire: (name: string) => Promise<unknown>): Expiry {
  const lifetimes = new Map<string, Lifetime>();
  let closed = false;
  let ticking: NodeJS.Timeout | undefined;
  let lastTick = 0;
  let graceUntil = 0;
  /** No lifetime is over before. */
  let earliest = Infinity;

  /** The monotonic time. Notices when the process was suspended: what its clients sent meanwhile is still to be read. */
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

/** Lets a process end for which nothing else is left to do, where the platform has processes. */
function unref(timer: { unref?(): unknown }): void {
  timer.unref?.();
}
