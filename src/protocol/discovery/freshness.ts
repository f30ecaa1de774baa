/**
 * Tells fresh queries from captured ones, on the broker's side. The time in a query decides where both clocks are right;
 * else a challenge, which the broker gives out and which no clock plays a part in.
 */

/** How long a query is answered, in milliseconds: from the time in it, or from when its challenge was given out. */
export const QUERY_LIFETIME_MS = 10_000;

/** A clock that is before this, in Unix milliseconds, has not been set: no time that it tells is taken, nor told. */
export const EARLIEST_TIME: number = Date.UTC(2025, 0, 1);

/** Most nonces kept in mind: those of the queries answered within a lifetime, at some thousands a second. */
const MAX_NONCES = 65_536;
/** Most queries kept in mind whose time is yet to come. */
const MAX_EARLY = 4096;

/** The clocks that it goes by, in milliseconds. */
export interface Clocks {
  /** Unix time, which may be wrong, and may jump. */
  wall(): number;
  /** Never jumps. */
  steady(): number;
}

const systemClocks: Clocks = { wall: () => Date.now(), steady: () => performance.now() };

/** What of a query says how old it is. */
export interface Dated {
  readonly nonce: string;
  /** When it was made, in Unix milliseconds, by its sender's clock. */
  readonly time?: number | undefined;
  /** A challenge that this broker gave out. */
  readonly challenge?: string | undefined;
}

export interface Freshness {
  /** A new challenge. */
  challenge(): string;
  /** Whether a query may be answered still. */
  isFresh(query: Dated): boolean;
  /** Takes the one answer that a query may have: nothing when it has been taken, else a function that gives it back. */
  claim(nonce: string): (() => void) | undefined;
}

/** @param instance tells this process from all others: a challenge is good for the one that gave it out. */
export function createFreshness(instance: string, clocks: Clocks = systemClocks): Freshness {
  const answered = createMemory(MAX_NONCES);
  const early = createMemory(MAX_EARLY);

  const isTimely = ({ nonce, time = 0 }: Dated): boolean => {
    const now = clocks.wall();
    if (now < EARLIEST_TIME || time < EARLIEST_TIME) return false;
    // Sent by a host whose clock is ahead. Nobody shall send it again when its time has come.
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
  /** Gives whether it is new. */
  add(nonce: string): boolean;
  remove(nonce: string): void;
}

/** Keeps the latest nonces. Only those who have the key can make it forget any. */
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
