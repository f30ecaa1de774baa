import { setTimeout } from 'node:timers';
import { formatDuration, MAX_TIMER_MS } from '../../protocol/formats/duration.ts';
import type { Finding, Readiness } from '../../api/readiness.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import { createWarnings } from './warnings.ts';
import type { ScheduledTask } from '../../protocol/schedule-monitor.ts';

/** One check. It returns undefined where there is nothing to check now. */
export type Check = () => Finding | undefined | Promise<Finding | undefined>;

export interface HealthOptions {
  /** The checks of each period; their last findings are reported. */
  readonly checks: Readonly<Record<string, Check>>;
  /**
   * Checks that are cheap enough to run for each report. They return undefined where there is nothing to
   * check now.
   */
  readonly live: Readonly<Record<string, () => Finding | undefined>>;
  /**
   * The period in milliseconds. It is read again for each period, since it may change while the broker runs.
   */
  everyMs(): number;
  /**
   * The time after which a check has failed, in milliseconds: a disk that hangs reports no error. Default: 5
   * s.
   */
  readonly checkMs?: number;
  readonly log: Logger;
  /** Shows that the self-check is running. */
  readonly schedule?: ScheduledTask | undefined;
  /** The names of the checks whose failure a restart would correct; default: none. */
  readonly vital?: readonly string[];
  /** Called after each self-check in which the vital checks are ok. */
  readonly onAlive?: (() => void) | undefined;
}

/** The broker's self-check. */
export interface Health {
  /** The present findings of the live checks, and those of the last self-check. */
  readiness(): Readiness;
  /** Checks at once, besides the period, after a change. */
  checkSoon(): void;
  close(): void;
}

/** Starts at once, then checks `everyMs()` milliseconds after the end of each check. */
export function startHealth(options: HealthOptions): Health {
  const { checks, live, everyMs, checkMs = 5000, log, onAlive, schedule, vital = [] } = options;
  const found: Record<string, Finding> = {};
  const told: Record<string, string> = {};
  const warnings = createWarnings();
  /** The checks that have not ended; one that hangs is not started again. */
  const hanging = new Map<string, Promise<Finding | undefined>>();
  let timer: NodeJS.Timeout | undefined;
  let checking = false;
  let again = false;
  let closed = false;

  async function look(name: string, check: Check): Promise<void> {
    const looking = hanging.get(name) ?? settle(check);
    hanging.set(name, looking);
    void looking.then(() => hanging.delete(name));
    const finding = await within(checkMs, looking);
    if (finding === undefined) delete found[name];
    else found[name] = finding;
  }

  async function run(): Promise<void> {
    checking = true;
    schedule?.expect(checkMs);
    try {
      await Promise.all(Object.entries(checks).map(([name, check]) => look(name, check)));
      if (!closed) conclude();
    } catch (error) {
      log.error('the self-check failed itself', { error: messageOf(error) });
    }
    checking = false;
    if (closed) return;
    const wait = Math.min(again ? 0 : everyMs(), MAX_TIMER_MS);
    again = false;
    timer = setTimeout(() => void run(), wait).unref();
    schedule?.expect(wait);
  }

  function conclude(): void {
    const readiness = readinessNow();
    for (const [name, finding] of Object.entries(readiness.checks)) tell(name, finding);
    if (vital.every((name) => readiness.checks[name]?.ok ?? true)) void callAlive();
  }

  function readinessNow(): Readiness {
    const all: Record<string, Finding> = {};
    for (const [name, check] of Object.entries(live)) {
      const finding = findingOf(check);
      if (finding) all[name] = finding;
    }
    Object.assign(all, found);
    return { ready: Object.values(all).every(({ ok }) => ok), checks: all, warnings: warnings.of(all) };
  }

  /** Logs only a change of the result: a reason may hold a number that changes each time. */
  function tell(name: string, { ok, reason, warning }: Finding): void {
    const state = ok ? (warning === undefined ? 'well' : 'warning') : 'failed';
    const before = told[name] ?? 'well';
    told[name] = state;
    if (state === before) return;
    if (state === 'failed') log.error('self-check failed: the broker is not ready', { check: name, reason });
    else if (state === 'warning') log.warn('self-check', { check: name, warning });
    else log.info('self-check is well again', { check: name });
  }

  /** Calls it; it may be asynchronous, although the type says otherwise. */
  async function callAlive(): Promise<void> {
    try {
      await (onAlive?.() as unknown);
    } catch (error) {
      log.warn('onAlive failed', { error: messageOf(error) });
    }
  }

  void run();
  return {
    readiness: readinessNow,
    checkSoon() {
      if (closed) return;
      if (checking) {
        again = true;
        return;
      }
      clearTimeout(timer);
      void run();
    },
    close() {
      closed = true;
      schedule?.rest();
      clearTimeout(timer);
    },
  };
}

function findingOf(check: () => Finding | undefined): Finding | undefined {
  try {
    return check();
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  }
}

async function settle(check: Check): Promise<Finding | undefined> {
  try {
    return await check();
  } catch (error) {
    return { ok: false, reason: messageOf(error) };
  }
}

async function within(ms: number, looking: Promise<Finding | undefined>): Promise<Finding | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<Finding>((resolve) => {
    const reason = `the check has not ended within ${formatDuration(ms)}`;
    timer = setTimeout(() => resolve({ ok: false, reason }), ms).unref();
  });
  try {
    return await Promise.race([looking, late]);
  } finally {
    clearTimeout(timer);
  }
}
