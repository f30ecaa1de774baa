import type { Guard } from '../../store.ts';
import type { Deadline } from '../promises.ts';

/** A write that was asked for, with its times. */
export interface Asked {
  /** The moment when the mutation was asked for. */
  readonly began: number;
  /** It moves by the waits for other writes: etcd has the whole time from when it is asked. */
  deadline: Deadline;
  /** The longest further wait for other writes, in milliseconds. */
  patienceMs: number;
  readonly guard: Guard | undefined;
}

/**
 * The longest wait of a write for others before it is sent, in milliseconds. Together with its own time, a client that waits 10
 * seconds has its answer in time.
 */
const LINE_MS = 8000;

/** A write that is asked for now, and may take `timeoutMs` milliseconds of its own. */
export function askedNow(timeoutMs: number, guard: Guard | undefined): Asked {
  const began = performance.now();
  return { began, deadline: began + timeoutMs, patienceMs: LINE_MS, guard };
}

/** Gives a write the time back for which it has waited for others, as far as it may wait. */
export function giveBack(asked: Asked, waitedMs: number): void {
  const movedMs = Math.min(waitedMs, asked.patienceMs);
  asked.deadline += movedMs;
  asked.patienceMs -= movedMs;
}
