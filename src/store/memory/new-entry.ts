import type { Entry } from '../../protocol/registry/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { NewEntry } from '../store.ts';

export function makeEntry(
  name: string,
  data: Entry['data'],
  lastWriteTs: number,
  lastWriteIp: string,
  revision: number,
  ttlMs: number | undefined,
): Entry {
  return ttlMs === undefined
    ? { name, data, lastWriteTs, lastWriteIp, revision }
    : { name, data, lastWriteTs, lastWriteIp, revision, ttlMs };
}

/**
 * Checks the decision of a mutation. The returned function makes the entry from it, once it has a revision.
 */
export function stateOf(name: string, entry: NewEntry): (revision: number) => Entry {
  // JSON has no NaN: a journal with one could not be read again.
  if (!Number.isFinite(entry.lastWriteTs) || !Number.isFinite(entry.ttlMs ?? 0)) {
    throw new BrokerError(
      'internal',
      `Invalid entry '${name}': its time and lifetime must be finite numbers`,
    );
  }
  return (revision) =>
    makeEntry(name, entry.data, entry.lastWriteTs, entry.lastWriteIp, revision, entry.ttlMs);
}
