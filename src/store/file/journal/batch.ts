import type { Change, Entry } from '../../../protocol/registry/entry.ts';
import type { EntryText } from '../../memory/entry-size.ts';
import type { MutationResult } from '../../store.ts';

/** An entry that is to be. */
export interface NewState {
  readonly make: (revision: number) => Entry;
  readonly text: EntryText;
}

export interface Pending {
  readonly entry: Entry | undefined;
  /** What the entry counts (`entry-size.ts`); 0 where there is none. */
  readonly size: number;
  readonly batch: Batch;
}

/** A change, and what it takes. */
export interface BatchItem {
  readonly change: Change;
  /** Bytes of its record. */
  readonly recordBytes: number;
  /** What the entry counts after it; 0 where it is gone. */
  readonly size: number;
}

export interface Batch {
  /** Batches become durable in the order of their numbers, which begin at 1. */
  readonly number: number;
  readonly items: BatchItem[];
  readonly records: string[];
  /** Of all records. */
  bytes: number;
  /** The latest state of each name in the batch. */
  readonly states: Map<string, BatchItem>;
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
  return { number, items: [], records: [], bytes: 0, states: new Map(), waiters: [] };
}

/** Answers a waiter of a batch that is durable. */
export function settle({ resolve, reject, result, refusal }: Waiter): void {
  if (refusal === undefined) resolve(result);
  else reject(refusal);
}
