/** Shows whether a repeated task is still running. */
export interface Heartbeat {
  /** Announces that the next round begins, or ends, within `ms` milliseconds. */
  expect(ms: number): void;
  /** Announces that no further round is due. */
  rest(): void;
}

/** The heartbeats of all tasks of a broker that run on a schedule. */
export interface Heartbeats {
  /** A new heartbeat for the loop of that name. */
  of(name: string): Heartbeat;
  /** Names of the loops whose round is overdue: they have died or hang. */
  stopped(): string[];
}

export interface HeartbeatsOptions {
  /**
   * How much later than expected a round may be, in milliseconds; default 30 s. Timers are late on a busy
   * host.
   */
  readonly graceMs?: number;
  /**
   * How long the check must have seen it late, in milliseconds; default 2 s. After a process was stopped, or
   * its host slept, all rounds are late until their timers fire.
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
