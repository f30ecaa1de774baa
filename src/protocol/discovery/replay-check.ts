/**
 * Tells fresh queries from captured ones, on the broker's side. Where both clocks are right, the time in the
 * query decides. Otherwise a challenge of the broker decides, which needs no clock of the client.
 */

/** How long a query is answered, in milliseconds: from the time in it, or from the time of its challenge. */
export const QUERY_LIFETIME_MS = 10_000;

/**
 * A clock that is before this, in Unix milliseconds, has not been set: its time is neither sent nor accepted.
 */
export const EARLIEST_TIME: number = Date.UTC(2025, 0, 1);

/**
 * The most nonces that are remembered: those of the queries answered within a lifetime, at some thousands a
 * second.
 */
const MAX_NONCES = 65_536;
/** The most queries remembered whose time is still in the future. */
const MAX_EARLY = 4096;

/** The clocks that decide, in milliseconds. */
export interface Clocks {
  /** Unix time. It may be wrong, and it may jump. */
  wall(): number;
  /** A clock that never jumps. */
  steady(): number;
}

const systemClocks: Clocks = { wall: () => Date.now(), steady: () => performance.now() };

/** The part of a query that shows its age. */
export interface Dated {
  readonly nonce: string;
  /** The time of the query, in Unix milliseconds by its sender's clock. */
  readonly time?: number | undefined;
  /** A challenge of this broker. */
  readonly challenge?: string | undefined;
}

export interface ReplayCheck {
  /** A new challenge. */
  challenge(): string;
  /** Whether a query may still be answered. */
  isFresh(query: Dated): boolean;
  /**
   * Takes the one answer that a query may have. Returns undefined when it has been taken already, else a
   * function that undoes this.
   */
  claim(nonce: string): (() => void) | undefined;
}

/** @param instance identifies this process: a challenge is valid only in the process that made it. */
export function createReplayCheck(instance: string, clocks: Clocks = systemClocks): ReplayCheck {
  const answered = createMemory(MAX_NONCES);
  const early = createMemory(MAX_EARLY);

  const isTimely = ({ nonce, time = 0 }: Dated): boolean => {
    const now = clocks.wall();
    if (now < EARLIEST_TIME || time < EARLIEST_TIME) return false;
    // Its sender's clock is ahead. A captured copy must not be answered once its time has come.
    if (time - now > QUERY_LIFETIME_MS) early.add(nonce);
    return Math.abs(now - time) <= QUERY_LIFETIME_MS && !early.has(nonce);
  };

  const isCurrent = (challenge: string): boolean => {
    const [, given, from] = /^(\d{1,15})\.(.+)$/.exec(challenge) ?? [];
    const age = clocks.steady() - Number(given);
    // It counts whole milliseconds.
    return from === instance && age >= 0 && age <= QUERY_LIFETIME_MS;
  };

  return {
    challenge: () => `${Math.floor(clocks.steady())}.${instance}`,
    isFresh: (query) => (query.challenge === undefined ? isTimely(query) : isCurrent(query.challenge)),
    claim: (nonce) => (answered.add(nonce) ? () => answered.remove(nonce) : undefined),
  };
}

interface Memory {
  has(nonce: string): boolean;
  /** Returns whether it is new. */
  add(nonce: string): boolean;
  remove(nonce: string): void;
}

/** Keeps the latest nonces. Only holders of the key can push any out of it. */
function createMemory(max: number): Memory {
  const nonces = new Set<string>();
  return {
    has: (nonce) => nonces.has(nonce),
    add(nonce) {
      if (nonces.has(nonce)) return false;
      const [oldest] = nonces;
      if (nonces.size >= max && oldest !== undefined) nonces.delete(oldest);
      nonces.add(nonce);
      return true;
    },
    remove: (nonce) => void nonces.delete(nonce),
  };
}
