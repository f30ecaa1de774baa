import type { EntryData } from '../../protocol/formats/data.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { resolveWithin } from '../../protocol/timeout.ts';
import type { Mutation, Outcome, WatchItem } from '../store.ts';

export const TS = 1_420_068_290;
export const IP = '127.0.0.1';

/** Stores `data`, whether or not the entry exists. */
export function put(data: EntryData | string, ttlMs?: number): Mutation {
  const held = typeof data === 'string' ? { _str: data } : data;
  const entry = { name: '', data: held, lastWriteTs: TS, lastWriteIp: IP };
  return () => ({ action: 'put', entry: ttlMs === undefined ? entry : { ...entry, ttlMs } });
}

/** Stores `data` unless the entry exists. */
export function create(data: EntryData | string): Mutation {
  return (current) => {
    if (current) throw new BrokerError('already_exists', `Entry '${current.name}' already exists`);
    return put(data)(current);
  };
}

export const remove: Mutation = (): Outcome => ({ action: 'delete' });

/** The next `count` items of a watch. */
export async function take(watch: AsyncIterator<WatchItem>, count: number): Promise<WatchItem[]> {
  const items: WatchItem[] = [];
  while (items.length < count) {
    const next = await resolveWithin(PATIENCE_MS, watch.next());
    if (next === undefined) throw new Error(`Waited in vain for item ${items.length + 1} of ${count}`);
    if (next.done) throw new Error(`The watch ended after ${items.length} of ${count} items`);
    items.push(next.value);
  }
  return items;
}

/**
 * Waits until `condition` holds.
 * @throws Error after 10 s, naming `what`.
 */
export async function eventually(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`Waited ${PATIENCE_MS} ms in vain for ${what}`);
    await pause(10);
  }
}

/** The longest time of a store for any action, in milliseconds. */
export const PATIENCE_MS = 10_000;

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
