import type { Entry } from '../../../protocol/registry/entry.ts';
import { encodeEntry } from '../entry-value.ts';

/** The entries of one transaction. */
export type Batch = readonly { readonly entry: Entry; readonly value: string }[];

/** etcd accepts 128 operations in one transaction (`--max-txn-ops`). */
const MAX_ENTRIES = 100;
/**
 * etcd accepts 1.5 MiB in one request (`--max-request-bytes`). This is half of it in characters of base64;
 * one larger entry is sent alone.
 */
const MAX_CHARS = 1024 * 1024;

/**
 * Entries with lifetimes come last, so that their lifetimes run only for the shortest time before the end.
 */
export function* batchesOf(entries: Iterable<Entry>): Generator<Batch, void, undefined> {
  const mortal: Entry[] = [];
  const immortal = function* (): Generator<Entry, void, undefined> {
    for (const entry of entries) {
      if (entry.ttlMs === undefined) yield entry;
      else mortal.push(entry);
    }
  };
  yield* inBatches(immortal());
  yield* inBatches(mortal);
}

function* inBatches(entries: Iterable<Entry>): Generator<Batch, void, undefined> {
  let batch: { entry: Entry; value: string }[] = [];
  let chars = 0;
  for (const entry of entries) {
    const value = encodeEntry(entry, '', entry.revision);
    if (batch.length > 0 && (batch.length === MAX_ENTRIES || chars + value.length > MAX_CHARS)) {
      yield batch;
      batch = [];
      chars = 0;
    }
    batch.push({ entry, value });
    // The key counts, too.
    chars += value.length + 4 * entry.name.length + 64;
  }
  if (batch.length > 0) yield batch;
}
