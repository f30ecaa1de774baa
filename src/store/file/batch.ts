import type { Change, Entry } from '../../protocol/entry.ts';
import type { MutationResult } from '../store.ts';

export type NewState = (revision: number) => Entry;

export interface Pending {
  readonly entry: Entry | undefined;
  readonly batch: Batch;
}

export interface Batch {
  readonly changes: Change[];
  readonly records: string[];
  readonly sizes: number[];
  /** Sum of `sizes`. */
  bytes: number;
  /** The latest state of each name in the batch. */
  readonly states: Map<string, Change>;
  readonly waiters: Waiter[];
}

export interface Waiter {
  resolve(result: MutationResult): void;
  reject(reason: unknown): void;
  /** Absent: the result is `entry` as of the batch's last revision. */
  readonly result: MutationResult | undefined;
  readonly entry: Entry | undefined;
  readonly refusal: unknown;
}

export function newBatch(): Batch {
  return { changes: [], records: [], sizes: [], bytes: 0, states: new Map(), waiters: [] };
}

/** Answers a waiter of a batch that is durable; `revision` is then the registry's. */
export function settle({ resolve, reject, result, entry, refusal }: Waiter, revision: number): void {
  if (refusal !== undefined) reject(refusal);
  else if (result !== undefined) resolve(result);
  else resolve(entry ? { entry, revision } : { revision });
}
