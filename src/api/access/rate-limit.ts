/** At most `count` events within any `windowMs`: exact, at the cost of one number per event of the last window. */
export interface RateLimit {
  /** Whether an event would be allowed at `now` (monotonic milliseconds). */
  allows(now: number): boolean;
  /** Milliseconds from `now` until an event will be allowed; 0 when one is allowed already. */
  waitMs(now: number): number;
  /** Counts an event. */
  take(now: number): void;
  /** Whether no event lies within the window, so that this limit may be forgotten. */
  idle(now: number): boolean;
}

function createRateLimit(count: number, windowMs: number): RateLimit {
  const times: number[] = [];
  const trim = (now: number): void => {
    while (times[0] !== undefined && times[0] <= now - windowMs) times.shift();
  };
  return {
    allows(now) {
      trim(now);
      return times.length < count;
    },
    waitMs(now) {
      trim(now);
      const first = times[times.length - count];
      return first === undefined ? 0 : first + windowMs - now;
    },
    take(now) {
      times.push(now);
    },
    idle(now) {
      trim(now);
      return times.length === 0;
    },
  };
}

export interface ReplyLimitOptions {
  /** Replies per second to one source address. */
  readonly perSource: number;
  /** Replies per second to all sources together; default: no limit. */
  readonly overall?: number;
  /** Most sources kept in mind; default 65,536. */
  readonly maxSources?: number;
}

export interface ReplyLimit {
  allows(source: string, now: number): boolean;
  /** Counts a reply if it is allowed. */
  take(source: string, now: number): boolean;
  /** How many sources it keeps in mind. */
  readonly sources: number;
}

const SECOND = 1000;
const MAX_SOURCES = 65_536;

/**
 * Limits replies by source, and overall where that is asked for. A source is kept for as long as its last reply counts and no
 * longer. Whoever forges more sources than are kept makes the one that was quiet the longest forgotten, and gains replies to it.
 */
export function createReplyLimit(options: ReplyLimitOptions): ReplyLimit {
  const { perSource, overall, maxSources = MAX_SOURCES } = options;
  const all = overall === undefined ? undefined : createRateLimit(overall, SECOND);
  // In the order of their last replies, the longest ago first.
  const bySource = new Map<string, RateLimit>();
  const forget = (now: number): void => {
    for (const [source, limit] of bySource) {
      if (!limit.idle(now) && bySource.size < maxSources) return;
      bySource.delete(source);
    }
  };
  const allows = (source: string, now: number): boolean =>
    (all?.allows(now) ?? true) && (bySource.get(source)?.allows(now) ?? true);
  return {
    allows,
    take(source, now) {
      if (!allows(source, now)) return false;
      const limit = bySource.get(source) ?? createRateLimit(perSource, SECOND);
      bySource.delete(source);
      forget(now);
      bySource.set(source, limit);
      limit.take(now);
      all?.take(now);
      return true;
    },
    get sources() {
      return bySource.size;
    },
  };
}

export interface FailureLimitOptions {
  /** Failures of one source within the window; further attempts must wait. */
  readonly perSource: number;
  readonly windowMs: number;
  /** Most sources kept in mind. */
  readonly maxSources: number;
}

export interface FailureLimit {
  /** Milliseconds until `source` may try again; 0 when it may now. */
  waitMs(source: string, now: number): number;
  /** Counts a failure of `source`. */
  fail(source: string, now: number): void;
  /** How many sources it keeps in mind. */
  readonly sources: number;
}

/**
 * Limits failed attempts by source. Whoever commands more sources than are kept in mind makes the one that has been quiet
 * the longest forgotten, and gains no more by it than those sources would give anyway.
 */
export function createFailureLimit({ perSource, windowMs, maxSources }: FailureLimitOptions): FailureLimit {
  // In the order of their last failures, the longest ago first.
  const bySource = new Map<string, RateLimit>();
  const makeRoom = (now: number): void => {
    for (const [source, limit] of bySource) {
      if (!limit.idle(now) && bySource.size < maxSources) return;
      bySource.delete(source);
    }
  };
  return {
    waitMs: (source, now) => bySource.get(source)?.waitMs(now) ?? 0,
    fail(source, now) {
      const limit = bySource.get(source) ?? createRateLimit(perSource, windowMs);
      bySource.delete(source);
      makeRoom(now);
      bySource.set(source, limit);
      limit.take(now);
    },
    get sources() {
      return bySource.size;
    },
  };
}
