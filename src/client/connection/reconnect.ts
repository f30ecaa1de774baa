import { runtime } from '#runtime';
import { formatAddress, type HostPort } from '../../protocol/addresses/address.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { ambiguous } from '../discovery/finder-errors.ts';
import { identityMismatch } from '../trust/identity.ts';
import { checkPin, type BrokerConnection, type PinnedBroker } from './connection.ts';
import { nameMismatch } from '../trust/name-trust.ts';
import { type Deadline, isTransient } from './retry.ts';
import { areRivals, type FoundBroker } from '../discovery/responders.ts';
import { untilAborted } from '../../protocol/until-aborted.ts';

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
  readonly closed: AbortSignal;
  /** Absent for a broker that was given by its address, or by a URL. */
  readonly findAgain?: FindAgain | undefined;
  /** The name by which it was found. */
  readonly foundBy?: string | undefined;
  /** Called with one line when the broker is out of reach, and when it is back. */
  notify(connection: string): void;
}

/** Time limit of one address, in milliseconds. */
const PROBE_MS = 3000;
/** Time limit of one search, in milliseconds: meanwhile the address is not tried again. */
const SEARCH_MS = 1500;

export function createReconnect(options: ReconnectOptions): Reconnect {
  const { connection, closed, findAgain, notify } = options;
  let cause: unknown;
  let looking: Promise<void> | undefined;

  const reached = (): void => {
    if (cause !== undefined) notify(`The broker is in reach again, at ${connection.place}`);
    cause = undefined;
  };

  const look = async (ms: number): Promise<void> => {
    const ended = new AbortController();
    const { address, pinned } = connection;
    const here = connection.probe(Math.min(ms, PROBE_MS)).then(() => address);
    const elsewhere =
      pinned &&
      findAgain?.(Math.min(ms, SEARCH_MS), ended.signal).then((found) =>
        pick(pinned, options.foundBy, found),
      );
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
      ended.abort();
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
    // Calls that wait at the same time share one look.
    looking ??= look(deadline.left()).finally(() => (looking = undefined));
    await untilAborted(looking, signal);
    return cause;
  };
  return Object.assign(reconnect, { cause: () => cause, reached });
}

/**
 * The first reachable address of our broker among the brokers found.
 * @throws BrokerError `identity_mismatch` when another broker holds the name, and ours does not answer.
 */
async function pick(
  { pin, pinSource }: PinnedBroker,
  foundBy: string | undefined,
  { brokers, holders }: FoundAgain,
): Promise<HostPort> {
  const ours: FoundBroker[] = [];
  let last: unknown;
  for (const broker of brokers) {
    try {
      if ((await fingerprintOf(broker)) === pin.fingerprint) ours.push(broker);
    } catch (error) {
      last = error;
    }
  }
  if (areRivals(ours)) throw ambiguous(ours, { name: '' }, false);
  for (const { addresses, port } of ours) {
    for (const host of addresses) {
      try {
        await checkPin({ host, port }, { pin, pinSource }, PROBE_MS);
        return { host, port };
      } catch (error) {
        last = error;
      }
    }
  }
  const [holder] = holders;
  const presented = holder && ours.length === 0 ? await fingerprintOf(holder) : pin.fingerprint;
  if (holder && presented !== pin.fingerprint) {
    throw foundBy === undefined || pinSource !== 'kept'
      ? identityMismatch(holder, pin.fingerprint, presented, pinSource)
      : nameMismatch(holder, foundBy, pin.fingerprint, presented);
  }
  throw last ?? new BrokerError('unreachable', 'None of the brokers that answer is the one that was lost');
}

async function fingerprintOf(broker: FoundBroker): Promise<string> {
  return broker.seen?.fingerprint ?? (await runtime.peerCertificate(broker, PROBE_MS)).fingerprint;
}
