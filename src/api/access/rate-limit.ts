/**
 * At most `count` events within any `windowMs` milliseconds. It is exact, and costs one number per event of
 * the last window.
 */
export interface RateLimit {
  /** Whether an event is allowed at `now` (monotonic milliseconds). */
  allows(now: number): boolean;
  /** Milliseconds from `now` until an event is allowed; 0 when one is allowed already. */
  waitMs(now: number): number;
  /** Counts an event. */
  take(now: number): void;
  /** Whether the window has no event, so that this limit may be forgotten. */
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
  /** The most replies per second to one source address. */
  readonly perSource: number;
  /** The most replies per second to all sources together; default: no limit. */
  readonly overall?: number;
  /** The most sources that are remembered; default 65,536. */
  readonly maxSources?: number;
}

export interface ReplyLimit {
  allows(source: string, now: number): boolean;
  /** Counts a reply if it is allowed. */
  take(source: string, now: number): boolean;
  /** The number of sources that are remembered. */
  readonly sources: number;
}

const SECOND = 1000;
const MAX_SOURCES = 65_536;

/**
 * Limits replies by source, and overall if `overall` is set. A source is remembered only as long as its last
 * reply counts. If an attacker forges more sources than that, the source with the oldest reply is forgotten,
 * and may get more replies.
 */
export function createReplyLimit(options: ReplyLimitOptions): ReplyLimit {
  const { perSource, overall, maxSources = MAX_SOURCES } = options;
  const all = overall === undefined ? undefined : createRateLimit(overall, SECOND);
  // Ordered by their last replies, the oldest first.
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
  /** The most failures of one source within the window; further attempts must wait. */
  readonly perSource: number;
  readonly windowMs: number;
  /** The most sources that are remembered. */
  readonly maxSources: number;
}

export interface FailureLimit {
  /** Milliseconds until `source` may try again; 0 when it may now. */
  waitMs(source: string, now: number): number;
  /** Counts a failure of `source`. */
  fail(source: string, now: number): void;
  /** The number of sources that are remembered. */
  readonly sources: number;
}

/**
 * Limits failed attempts by source. If an attacker uses more sources than that, the source with the oldest
 * failure is forgotten. The attacker gains no more attempts than those sources have anyway.
 */
export function createFailureLimit({ perSource, windowMs, maxSources }: FailureLimitOptions): FailureLimit {
  // Ordered by their last failures, the oldest first.
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
