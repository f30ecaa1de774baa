import type { Change, Entry } from '../../protocol/entry.ts';
import type { MutationResult } from '../store.ts';

export type NewState = (revision: number) => Entry;

export interface Pending {
  readonly entry: Entry | undefined;
  readonly batch: Batch;
}

export interface Batch {
  /** Batches become durable in the order of their numbers, which begin at 1. */
  readonly number: number;
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
  readonly result: MutationResult;
  /** Whether it waits for a change of its own, and not for the state that it saw. */
  readonly writes: boolean;
  /** What it is refused with, once that is durable. */
  readonly refusal: unknown;
}

export function newBatch(number: number): Batch {
  return { number, changes: [], records: [], sizes: [], bytes: 0, states: new Map(), waiters: [] };
}

/** Answers a waiter of a batch that is durable. */
export function settle({ resolve, reject, result, refusal }: Waiter): void {
  if (refusal === undefined) resolve(result);
  else reject(refusal);
}
