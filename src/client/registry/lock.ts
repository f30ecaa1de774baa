/// <reference lib="esnext.disposable" preserve="true" />
import { formatDuration } from '../../protocol/formats/duration.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { checkOptions, isSignal, isTime, type OptionRules } from '../../protocol/options.ts';
import { createLeaseClock } from './lease-clock.ts';
import { type Lease, marginOf, startLease } from './lease.ts';
import type { Reconnect } from '../connection/reconnect.ts';
import type { HeldLock, Registry } from './registry.ts';
import { backoff, deadlineIn, isPassing } from '../connection/retry.ts';
import type { Rpc } from '../connection/rpc.ts';

export interface LockOptions {
  /** What its entry holds meanwhile; default `''`. */
  readonly data?: string | JsonObject | undefined;
  /** Milliseconds for which it outlives its holder, from 1000 on; default 10,000. It is renewed at a third of it. */
  readonly ttlMs?: number | undefined;
  /** Whether to wait for it, in the order of asking; default false. */
  readonly wait?: boolean | undefined;
  /** Longest to wait, in milliseconds; default: no limit. Without `wait`: longest for the call. */
  readonly timeoutMs?: number | undefined;
  /** Gives up waiting; its reason is thrown. It has no part in what happens once the lock is held. */
  readonly signal?: AbortSignal | undefined;
}

/** A lock that is held; give it as `ifLocked` for writes that only count while it is. */
export interface Lock extends HeldLock {
  /** Tells its holders apart: greater than that of every holder before, also across restarts of the broker. */
  readonly revision: number;
  /**
   * Aborted when it is lost, with a BrokerError `lock_lost` as the reason: its entry is gone or another's, or it could not be renewed.
   * In that case it is aborted a quarter of the lifetime (at most 10 s) before another may have the lock.
   */
  readonly signal: AbortSignal;
  /** Looks at the clock at once, as is wise after the process was suspended, and gives whether the lock is held. */
  isHeld(): boolean;
  /** Ends it. Does nothing where it has been lost or released, and does not throw: what cannot be released ends by itself. */
  release(): Promise<void>;
  /** `await using lock = await client.lock(…)` releases it at the end of the block. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a lock works with. */
export interface LockTools {
  readonly rpc: Rpc;
  readonly registry: Registry;
  readonly reconnect: Reconnect;
  /** Told what a person should hear of. */
  notify(line: string): void;
}

const TTL_MS = 10_000;
/** Shortest lifetime of a lock. */
export const SHORTEST_TTL_MS = 1000;
/** Longest to try to release a lock whose broker is out of reach. */
const RELEASE_MS = 5000;

const rules: OptionRules<LockOptions> = {
  data: { expected: 'a string or an object', accepts: () => true },
  ttlMs: {
    expected: `a lifetime in milliseconds, from ${SHORTEST_TTL_MS} on`,
    accepts: (ms) => typeof ms === 'number' && ms >= SHORTEST_TTL_MS && Number.isFinite(ms),
  },
  wait: { expected: 'true or false', accepts: (wait) => typeof wait === 'boolean' },
  timeoutMs: { expected: 'a number of milliseconds', accepts: isTime },
  signal: { expected: 'an AbortSignal', accepts: isSignal },
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
    // A moment at which nobody has looked at the clock yet, such as right after the process was suspended.
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
    // Its lifetime began when the broker took it, which may have been long after it was asked for: only a renewal shows.
    if (clock.now() - askedAt < ttlMs / 3) lease.hold(askedAt);
    else {
      try {
        // By the end of its lifetime it is free again: a caller that does not wait for it has not got it.
        await lease.confirm(wait ? deadline : deadlineIn(Math.min(deadline.left(), ttlMs)), signal);
      } catch (error) {
        await giveUp(tools, { name, revision }, lease);
        throw error;
      }
    }
    if (lease.isHeld()) return { revision, lease };
    lease.stop();
    // It expired before its broker could be reached again, or was taken away.
    if (!wait || deadline.left() === 0) lease.signal.throwIfAborted();
  }
}

function heldByAnother(name: string, error: unknown): unknown {
  if (!(error instanceof BrokerError) || error.code !== 'already_exists') return error;
  return new BrokerError('already_exists', `Lock '${name}' is held by another`, { cause: error });
}

/** Removes the entry of a lock, and of no other holder. */
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
      // It is gone, or another's: an attempt whose answer was lost may have removed it.
      if (error instanceof BrokerError && error.code === 'revision_conflict') return;
      if (isPassing(error) && deadline.left() > 0) await retry.pause(deadline);
      if (isPassing(error) && deadline.left() > 0) continue;
      const free = formatDuration(Math.max(0, lease.left() + marginOf(lease.ttlMs)));
      notify(`Lock '${name}' could not be released (${messageOf(error)}): it is free in ${free} by itself`);
      return;
    }
  }
}
