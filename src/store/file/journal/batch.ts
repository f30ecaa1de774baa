import type { Change, Entry } from '../../../protocol/registry/entry.ts';
import type { EntryText } from '../../memory/entry-size.ts';
import type { MutationResult } from '../../store.ts';

/** The new state of an entry. */
export interface NewState {
  readonly make: (revision: number) => Entry;
  readonly text: EntryText;
}

export interface Pending {
  readonly entry: Entry | undefined;
  /** The size of the entry (`entry-size.ts`); 0 where it does not exist. */
  readonly size: number;
  readonly batch: Batch;
}

/** A change, with its sizes. */
export interface BatchItem {
  readonly change: Change;
  /** The bytes of its record. */
  readonly recordBytes: number;
  /** The size of the entry after it; 0 where it is gone. */
  readonly size: number;
}

export interface Batch {
  /** Batches become durable in the order of their numbers, which begin at 1. */
  readonly number: number;
  readonly items: BatchItem[];
  readonly records: string[];
  /** The bytes of all records. */
  bytes: number;
  /** The latest state of each name in the batch. */
  readonly states: Map<string, BatchItem>;
  readonly waiters: Waiter[];
}

export interface Waiter {
  resolve(result: MutationResult): void;
  reject(reason: unknown): void;
  readonly result: MutationResult;
  /** Whether it waits for its own change, and not for the state that it saw. */
  readonly writes: boolean;
  /** The reason of its refusal, which it gets once that state is durable. */
  readonly refusal: unknown;
}

export function newBatch(number: number): Batch {
  return { number, items: [], records: [], bytes: 0, states: new Map(), waiters: [] };
}

/** Answers a waiting caller of a durable batch. */
export function settle({ resolve, reject, result, refusal }: Waiter): void {
  if (refusal === undefined) resolve(result);
  else reject(refusal);
}
