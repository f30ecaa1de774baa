/** Shows whether a repeated task is still running. */
export interface ScheduledTask {
  /** Announces that the next round begins, or ends, within `ms` milliseconds. */
  expect(ms: number): void;
  /** Announces that no further round is due. */
  rest(): void;
}

/** Shows which tasks of a broker that run on a schedule are overdue. */
export interface ScheduleMonitor {
  /** The task of the loop of that name. */
  of(name: string): ScheduledTask;
  /** Names of the loops whose round is overdue: they have died or hang. */
  overdue(): string[];
}

export interface ScheduleMonitorOptions {
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

export function createScheduleMonitor({
  graceMs = 30_000,
  confirmMs = 2000,
}: ScheduleMonitorOptions = {}): ScheduleMonitor {
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
    overdue() {
      const now = performance.now();
      const late = [...due].filter(([, by]) => now > by + graceMs).map(([name]) => name);
      for (const name of late) if (!lateSince.has(name)) lateSince.set(name, now);
      return late.filter((name) => now - (lateSince.get(name) ?? now) >= confirmMs);
    },
  };
}
