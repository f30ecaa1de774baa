import { runtime } from '#runtime';
import { formatAddress, type HostPort } from '../../protocol/addresses/address.ts';
import type { Ending } from '../../protocol/ending.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { ambiguous } from '../discovery/finder-errors.ts';
import { identityMismatch } from '../trust/identity.ts';
import { checkPin, type BrokerConnection, type PinnedBroker } from './connection.ts';
import { nameMismatch } from '../trust/name-trust.ts';
import { backoff, type Deadline, deadlineIn, isTransient } from './retry.ts';
import { areRivals, type FoundBroker } from '../discovery/responders.ts';
import { untilAborted } from '../../protocol/until-aborted.ts';
import { withTimeout } from './time-limit.ts';

/**
 * How waiting calls come back to a broker that they have lost. They try its address, whose host name is
 * resolved again, and the addresses that a search finds now. It must be the same broker, by its certificate.
 */
export interface Reconnect {
  /**
   * Looks for the broker once, after `error`. Returns why it is still out of reach, or `undefined` when it is
   * in reach.
   * @throws BrokerError `identity_mismatch` when another broker has taken its place.
   * @throws BrokerError `ambiguous_broker` for copies of it; `usage` when the client has been closed.
   */
  (error: unknown, deadline: Deadline, signal?: AbortSignal): Promise<unknown>;
  /** Why the broker is out of reach now; else `undefined`. */
  cause(): unknown;
  /** Reports that a call has reached the broker by itself. */
  reached(): void;
}

/** Searches the network for so many milliseconds. Rejects with `unreachable` when nobody answers. */
export type FindAgain = (ms: number, signal: AbortSignal) => Promise<FoundAgain>;

/** The result of a search for a lost broker. */
export interface FoundAgain {
  /** All brokers that answer, whatever they hold. */
  readonly brokers: readonly FoundBroker[];
  /** Those that hold the name by which the broker was found; empty without a name. */
  readonly holders: readonly FoundBroker[];
}

export interface ReconnectOptions {
  readonly connection: BrokerConnection;
  /** Ends every look; its reason is thrown. */
  readonly closed: Ending;
  /** Absent for a broker that was given by its address, or by a URL. */
  readonly findAgain?: FindAgain | undefined;
  /** The name by which it was found. */
  readonly foundBy?: string | undefined;
  /** Called with one line when the broker is out of reach, and when it is back. */
  notify(connection: string): void;
}

/** Time limit of one address, in milliseconds. */
const PROBE_MS = 3000;
/** Time limit of the question who is there, in milliseconds. */
const SEARCH_MS = 1500;
/** Time limit of a whole look, in milliseconds, also if brokers that answer a search let nobody connect. */
const LOOK_MS = SEARCH_MS + PROBE_MS;

export function createReconnect(options: ReconnectOptions): Reconnect {
  const { connection, closed, findAgain, notify } = options;
  let cause: unknown;
  let looking: Promise<void> | undefined;

  const reached = (): void => {
    if (cause !== undefined) notify(`The broker is in reach again, at ${connection.place}`);
    cause = undefined;
  };

  /**
   * Tries the address, again and again until `over` is aborted. A search takes longer than most restarts of a
   * broker.
   */
  const probe = async (deadline: Deadline, over: AbortSignal): Promise<void> => {
    const retry = backoff();
    for (;;) {
      try {
        return await connection.probe(probeMs(deadline));
      } catch (error) {
        if (!isTransient(error)) throw error;
        await retry.pause(deadline, over).catch(() => undefined);
        if (over.aborted || deadline.left() === 0) throw error;
      }
    }
  };

  const look = async (ms: number): Promise<void> => {
    const over = new AbortController();
    const deadline = deadlineIn(Math.min(ms, LOOK_MS));
    const { address, pinned } = connection;
    const elsewhere =
      pinned &&
      findAgain &&
      within(
        deadline,
        over.signal,
        findAgain(Math.min(ms, SEARCH_MS), over.signal).then((found) =>
          pick(pinned, options.foundBy, found, deadline),
        ),
      ).finally(() => over.abort());
    if (!elsewhere) over.abort();
    const here = probe(deadline, over.signal).then(() => address);
    try {
      const now = await untilAborted(Promise.any(elsewhere ? [here, elsewhere] : [here]), closed);
      if (formatAddress(now) !== formatAddress(address)) pinned?.moveTo(now);
      reached();
    } catch (error) {
      const errors = error instanceof AggregateError ? (error.errors as unknown[]) : [error];
      const [atAddress, inSearch = atAddress] = errors;
      // Another host may now have the address of a broker that has moved. Then the result of the search
      // decides.
      if (!isTransient(inSearch)) throw inSearch;
      cause = atAddress;
    } finally {
      over.abort();
    }
  };

  const reconnect = async (why: unknown, deadline: Deadline, signal?: AbortSignal): Promise<unknown> => {
    closed.throwIfAborted();
    // The broker answers, though with an error. So it is not lost.
    if (!(why instanceof BrokerError) || why.code !== 'unreachable') return why;
    if (cause === undefined) {
      const how = findAgain ? 'looking for it again' : 'trying again';
      notify(`The broker at ${connection.place} is out of reach (${messageOf(why)}); ${how}`);
      cause = why;
    }
    // Calls that wait at the same time share one look, which may last longer than some of them wait.
    looking ??= look(deadline.left()).finally(() => (looking = undefined));
    const limit = withTimeout(deadline.left(), signal);
    try {
      await untilAborted(looking, limit.signal);
    } catch (error) {
      if (!limit.timedOut()) throw error;
    } finally {
      limit.release();
    }
    return cause;
  };
  return Object.assign(reconnect, { cause: () => cause, reached });
}

/**
 * The first reachable address of our broker among the brokers found. All are tried at once, so that hosts
 * that let nobody connect cost no more time than one.
 * @throws BrokerError `identity_mismatch` when another broker holds the name, and ours does not answer.
 */
async function pick(
  { pin, pinSource }: PinnedBroker,
  foundBy: string | undefined,
  { brokers, holders }: FoundAgain,
  deadline: Deadline,
): Promise<HostPort> {
  const presented = await Promise.allSettled(brokers.map((broker) => fingerprintOf(broker, deadline)));
  const ours = brokers.filter((_, n) => {
    const one = presented[n];
    return one?.status === 'fulfilled' && one.value === pin.fingerprint;
  });
  let last: unknown = presented.findLast((one) => one.status === 'rejected')?.reason;
  if (areRivals(ours)) throw ambiguous(ours, { name: '' }, false);
  const addresses = ours.flatMap(({ addresses: hosts, port }) => hosts.map((host) => ({ host, port })));
  const checks = addresses.map((address) =>
    checkPin(address, { pin, pinSource }, probeMs(deadline)).then(
      () => ({ address, error: undefined }),
      (error: unknown) => ({ address, error }),
    ),
  );
  for (const check of checks) {
    const { address, error } = await check;
    if (error === undefined) return address;
    last = error;
  }
  const [holder] = holders;
  if (holder && ours.length === 0) {
    const fingerprint = await fingerprintOf(holder, deadline);
    if (fingerprint !== pin.fingerprint)
      throw foundBy === undefined || pinSource !== 'kept'
        ? identityMismatch(holder, pin.fingerprint, fingerprint, pinSource)
        : nameMismatch(holder, foundBy, pin.fingerprint, fingerprint);
  }
  throw last ?? new BrokerError('unreachable', 'None of the brokers that answer is the one that was lost');
}

async function fingerprintOf(broker: FoundBroker, deadline: Deadline): Promise<string> {
  return broker.seen?.fingerprint ?? (await runtime.peerCertificate(broker, probeMs(deadline))).fingerprint;
}

function probeMs(deadline: Deadline): number {
  return Math.max(1, Math.min(deadline.left(), PROBE_MS));
}

/** @throws BrokerError `unreachable` at the deadline; the reason of an aborted signal. */
async function within<T>(deadline: Deadline, signal: AbortSignal, work: Promise<T>): Promise<T> {
  const limit = withTimeout(deadline.left(), signal);
  try {
    return await untilAborted(work, limit.signal);
  } catch (error) {
    throw limit.timedOut() ? new BrokerError('unreachable', 'A search for the broker took too long') : error;
  } finally {
    limit.release();
  }
}
