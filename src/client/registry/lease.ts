import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { LeaseClock } from './lease-clock.ts';
import type { Reconnect } from '../connection/reconnect.ts';
import { backoff, type Deadline } from '../connection/retry.ts';
import type { Rpc } from '../connection/rpc.ts';
import { untilAborted } from '../../protocol/until-aborted.ts';

export interface LeaseOptions {
  readonly rpc: Rpc;
  readonly reconnect: Reconnect;
  readonly clock: LeaseClock;
  readonly name: string;
  /** Revision of the registration: only the entry that it made is renewed. */
  readonly revision: number;
  readonly ttlMs: number;
}

/**
 * A lifetime that is renewed. It is counted from the moment at which a renewal was sent, so that its holder
 * may rely on it.
 */
export interface Lease {
  readonly ttlMs: number;
  /** Aborted with BrokerError `lock_lost`. */
  readonly signal: AbortSignal;
  /** Starts the lifetime at `since`, and renews it. */
  hold(since: number): void;
  /**
   * Starts the lifetime once a renewal has shown that the entry is ours; ends it when it is not.
   * @throws the reason of an aborted `signal`.
   * @throws BrokerError `timeout` when no renewal has succeeded by the deadline.
   */
  confirm(by: Deadline, signal: AbortSignal | undefined): Promise<void>;
  /** Whether the lock is held now. */
  isHeld(): boolean;
  /** Milliseconds until the lock counts as lost, without another renewal. */
  left(): number;
  /** Ends the renewals. */
  stop(): void;
}

/** Time limit of one renewal, in milliseconds: on a dead connection, nothing arrives until then. */
const LONGEST_ATTEMPT_MS = 10_000;

/**
 * How often the clock is read, in milliseconds. Timers do not run while the machine sleeps, so they may be
 * late by the whole sleep.
 */
const LOOK_EVERY_MS = 1000;

/** The time that a holder has to stop its work before another may get the lock, in milliseconds. */
export function marginOf(ttlMs: number): number {
  return Math.min(ttlMs / 4, 10_000);
}

export function startLease({ rpc, reconnect, clock, name, revision, ttlMs }: LeaseOptions): Lease {
  const ending = new AbortController();
  const stopping = new AbortController();
  let heldSince = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let lastCause: unknown;
  let isAsking = false;

  const left = (): number => Math.max(0, heldSince + ttlMs - marginOf(ttlMs) - clock.now());
  const isOver = (): boolean => stopping.signal.aborted || ending.signal.aborted;

  function lose(why: string, cause?: unknown): void {
    if (isOver()) return;
    ending.abort(new BrokerError('lock_lost', `Lock '${name}' was lost: ${why}`, { cause }));
    stop();
  }

  function stop(): void {
    clearTimeout(timer);
    rpc.closed.removeEventListener('abort', closed);
    stopping.abort();
  }

  const closed = (): void => lose('its client has been closed', rpc.closed.reason);
  if (rpc.closed.aborted) closed();
  else rpc.closed.addEventListener('abort', closed, { once: true });

  function check(): void {
    if (left() > 0 || isOver()) return;
    const known = lastCause === undefined ? '' : `: ${messageOf(lastCause)}`;
    const reason = isAsking ? known || `: no answer from the broker at ${rpc.connection.place}` : known;
    lose(`it could not be renewed in time${reason}`, lastCause);
  }

  /** A renewal is the only proof that the lock is still ours. */
  async function renew(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const sentAt = clock.now();
    isAsking = true;
    try {
      const options = { timeoutMs: Math.max(1, timeoutMs), signal };
      await rpc.call('services', 'Renew', { name, if_revision: revision }, options);
      heldSince = Math.max(heldSince, sentAt);
      lastCause = undefined;
      reconnect.reached();
      return true;
    } catch (error) {
      const { code } = error as BrokerError;
      if (code === 'not_found') lose('its entry was deleted, or has expired', error);
      else if (code === 'revision_conflict') lose('its entry was written by another', error);
      else lastCause = error;
      return false;
    } finally {
      isAsking = false;
    }
  }

  async function lookAgain(deadline: Deadline, signal: AbortSignal): Promise<void> {
    try {
      await reconnect(lastCause, deadline, signal);
    } catch (error) {
      // Another broker may be in its place. Ours may come back while there is time.
      if (!signal.aborted) lastCause = error;
    }
  }

  const deadline: Deadline = {
    left,
    error: (_, cause) => new BrokerError('lock_lost', messageOf(cause)),
  };

  async function renewInTime(): Promise<void> {
    const retry = backoff();
    const attemptMs = Math.min(Math.max(1000, ttlMs / 6), LONGEST_ATTEMPT_MS);
    for (;;) {
      check();
      if (isOver() || (await renew(Math.min(left(), attemptMs), stopping.signal))) break;
      if (isOver()) break;
      await untilAborted(retry.pause(deadline, stopping.signal), stopping.signal);
      await lookAgain(deadline, stopping.signal);
    }
    if (!isOver()) schedule();
  }

  /** Plans the next renewal, or the end if none can come in time. */
  function schedule(): void {
    clearTimeout(timer);
    const due = heldSince + ttlMs / 3 - clock.now();
    timer = setTimeout(renewAndWatch, Math.min(Math.max(0, due), LOOK_EVERY_MS));
  }

  /** The end comes in time, whatever a renewal waits for. */
  function watch(): void {
    check();
    if (!isOver()) timer = setTimeout(watch, Math.min(left(), LOOK_EVERY_MS));
  }

  function renewAndWatch(): void {
    check();
    if (isOver()) return;
    if (clock.now() < heldSince + ttlMs / 3) return schedule();
    watch();
    renewInTime().catch(() => check());
  }

  return {
    ttlMs,
    signal: ending.signal,
    hold(since) {
      heldSince = since;
      schedule();
    },
    async confirm(by, signal) {
      const retry = backoff();
      const end = signal ? AbortSignal.any([signal, stopping.signal]) : stopping.signal;
      while (!isOver() && !(await renew(Math.min(by.left(), ttlMs / 4), end))) {
        signal?.throwIfAborted();
        if (isOver()) return;
        await retry.pause(by, end);
        if (by.left() === 0) throw by.error(`lock '${name}'`, lastCause);
        await lookAgain(by, end);
      }
      if (!isOver()) schedule();
    },
    isHeld() {
      check();
      return !isOver();
    },
    left,
    stop,
  };
}
