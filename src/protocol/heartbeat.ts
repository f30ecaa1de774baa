/** Shows whether what is to happen again and again still does. */
export interface Heartbeat {
  /** Says that the next round begins within `ms`, or ends within them. */
  expect(ms: number): void;
  /** Nothing is due any more. */
  rest(): void;
}

/** The heartbeats of everything in a broker that runs on a schedule. */
export interface Heartbeats {
  /** A heartbeat of its own for the loop of that name. */
  of(name: string): Heartbeat;
  /** Names of the loops whose round is overdue: they have died, or hang. */
  stopped(): string[];
}

export interface HeartbeatsOptions {
  /** How much later than expected a round may be, in milliseconds; default 30 s: timers are late on a host that is busy. */
  readonly graceMs?: number;
  /**
   * And for how long it must have been seen to be late; default 2 s. After a process was stopped, or its host slept, all
   * rounds are late until their timers come.
   */
  readonly confirmMs?: number;
}

export function createHeartbeats({ graceMs = 30_000, confirmMs = 2000 }: HeartbeatsOptions = {}): Heartbeats {
  const due = new Map<string, number>();
  const lateSince = new Map<string, number>();
  return {
    of: (name) => ({
      expect(ms) {
        due.set(name, performance.now() + ms);
        lateSince.delete(name);
      },
      rest() {
        due.delete(name);
        lateSince.delete(name);
      },
    }),
    stopped() {
      const now = performance.now();
      const late = [...due].filter(([, by]) => now > by + graceMs).map(([name]) => name);
      for (const name of late) if (!lateSince.has(name)) lateSince.set(name, now);
      return late.filter((name) => now - (lateSince.get(name) ?? now) >= confirmMs);
    },
  };
}
