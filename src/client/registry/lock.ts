/// <reference lib="esnext.disposable" preserve="true" />
import { formatDuration } from '../../protocol/formats/duration.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { checkOptions, limitRules, type OptionRules } from '../../protocol/options.ts';
import { createLeaseClock } from './lease-clock.ts';
import { type Lease, marginOf, startLease } from './lease.ts';
import type { Reconnect } from '../connection/reconnect.ts';
import type { HeldLock, Registry } from './registry.ts';
import { backoff, deadlineIn, isTransient } from '../connection/retry.ts';
import type { Rpc } from '../connection/rpc.ts';

/** Options of `lock` and `withLock`. */
export interface LockOptions {
  /** Data of the lock's entry; default `''`. */
  readonly data?: string | JsonObject | undefined;
  /**
   * How long the lock outlives a holder that has died, in milliseconds, at least 1000; default 10,000. It is
   * renewed after a third of that.
   */
  readonly ttlMs?: number | undefined;
  /** Whether to wait for the lock, in the order of asking; default false. */
  readonly wait?: boolean | undefined;
  /** Time limit of the wait, in milliseconds; default: no limit. Without `wait`: time limit of the call. */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait; its reason is thrown. It has no effect once the lock is held. */
  readonly signal?: AbortSignal | undefined;
}

/** A lock that is held. Pass it as `ifLocked` to writes that must fail once it is lost. */
export interface Lock extends HeldLock {
  /** Fencing token: greater than that of every holder before, also across restarts of the broker. */
  readonly revision: number;
  /**
   * Aborted when the lock is lost, with a BrokerError `lock_lost` as the reason. Either its entry is gone or
   * another's, or it could not be renewed. In the second case, the abort comes before another may get the
   * lock: a quarter of the lifetime before, at most 10 s.
   */
  readonly signal: AbortSignal;
  /**
   * Reads the clock at once, and returns whether the lock is held. Call it after the process may have been
   * suspended.
   */
  isHeld(): boolean;
  /**
   * Ends the lock. Does nothing when it is lost or released already. It does not throw: a lock that cannot be
   * released expires.
   */
  release(): Promise<void>;
  /** `await using lock = await client.lock(…)` releases it at the end of the block. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a lock needs. */
export interface LockTools {
  readonly rpc: Rpc;
  readonly registry: Registry;
  readonly reconnect: Reconnect;
  /** Called with one line that a person should read. */
  notify(line: string): void;
}

const TTL_MS = 10_000;
/** Shortest lifetime of a lock, in milliseconds. */
export const SHORTEST_TTL_MS = 1000;
/** Time limit of a release when the broker is out of reach, in milliseconds. */
const RELEASE_MS = 5000;

const rules: OptionRules<LockOptions> = {
  data: { expected: 'a string or an object', accepts: () => true },
  ttlMs: {
    expected: `a lifetime in milliseconds, from ${SHORTEST_TTL_MS} on`,
    accepts: (ms) => typeof ms === 'number' && ms >= SHORTEST_TTL_MS && Number.isFinite(ms),
  },
  wait: { expected: 'true or false', accepts: (wait) => typeof wait === 'boolean' },
  ...limitRules,
};

/** See `BrokerClient.lock`. */
export async function takeLock(tools: LockTools, name: string, options: LockOptions): Promise<Lock> {
  checkOptions<LockOptions>('lock', options, rules, 'usage');
  const { ttlMs = TTL_MS } = options;
  const { revision, lease } = await acquire(tools, name, ttlMs, options);
  let releasing: Promise<void> | undefined;
  const release = (): Promise<void> => (releasing ??= giveUp(tools, { name, revision }, lease));
  return {
    name,
    revision,
    signal: lease.signal,
    isHeld: () => lease.isHeld(),
    release,
    [Symbol.asyncDispose]: release,
  };
}

/** See `BrokerClient.withLock`. */
export async function withLock<T>(
  tools: LockTools,
  name: string,
  options: LockOptions,
  work: (lock: Lock) => Promise<T> | T,
): Promise<T> {
  const lock = await takeLock(tools, name, options);
  try {
    const result = await work(lock);
    // Nobody may have read the clock yet at this moment, such as right after the process was suspended.
    lock.isHeld();
    lock.signal.throwIfAborted();
    return result;
  } catch (error) {
    const { aborted, reason } = lock.signal;
    if (!aborted || error === reason) throw error;
    throw new BrokerError('lock_lost', messageOf(reason), { cause: error });
  } finally {
    await lock.release();
  }
}

async function acquire(
  tools: LockTools,
  name: string,
  ttlMs: number,
  { data = '', wait = false, timeoutMs, signal }: LockOptions,
): Promise<{ revision: number; lease: Lease }> {
  const { rpc, registry, reconnect } = tools;
  const clock = createLeaseClock();
  const deadline = deadlineIn(timeoutMs);
  for (;;) {
    const limit = timeoutMs === undefined ? {} : { timeoutMs: Math.ceil(deadline.left()) };
    const askedAt = clock.now();
    const { revision } = await registry
      .register(name, data, { ttlMs, wait, signal, ...limit })
      .catch((error: unknown) => {
        throw heldByAnother(name, error);
      });
    const lease = startLease({ rpc, reconnect, clock, name, revision, ttlMs });
    // The lifetime began when the broker registered the entry, perhaps long after the request. Only a renewal
    // shows whether it still runs.
    if (clock.now() - askedAt < ttlMs / 3) lease.hold(askedAt);
    else {
      try {
        // After its lifetime the entry is gone: a caller that does not wait has not got the lock.
        await lease.confirm(wait ? deadline : deadlineIn(Math.min(deadline.left(), ttlMs)), signal);
      } catch (error) {
        await giveUp(tools, { name, revision }, lease);
        throw error;
      }
    }
    if (lease.isHeld()) return { revision, lease };
    lease.stop();
    // The entry expired before the broker could be reached again, or somebody removed it.
    if (!wait || deadline.left() === 0) lease.signal.throwIfAborted();
  }
}

function heldByAnother(name: string, error: unknown): unknown {
  if (!(error instanceof BrokerError) || error.code !== 'already_exists') return error;
  return new BrokerError('already_exists', `Lock '${name}' is held by another`, { cause: error });
}

/** Removes the entry of a lock, but not that of another holder. */
async function giveUp({ rpc, notify }: LockTools, { name, revision }: HeldLock, lease: Lease): Promise<void> {
  lease.stop();
  if (lease.signal.aborted) return;
  const left = lease.left() + marginOf(lease.ttlMs);
  const deadline = deadlineIn(Math.min(left, RELEASE_MS));
  const retry = backoff();
  for (;;) {
    try {
      const timeoutMs = Math.max(1, deadline.left());
      await rpc.call('services', 'Delete', { name, if_revision: revision }, { timeoutMs });
      return;
    } catch (error) {
      // The entry is gone, or another's: an attempt whose answer was lost may have removed it.
      if (error instanceof BrokerError && error.code === 'revision_conflict') return;
      if (isTransient(error) && deadline.left() > 0) await retry.pause(deadline);
      if (isTransient(error) && deadline.left() > 0) continue;
      const free = formatDuration(Math.max(0, lease.left() + marginOf(lease.ttlMs)));
      notify(`Lock '${name}' could not be released (${messageOf(error)}): it expires in ${free}`);
      return;
    }
  }
}
