import type { Entry } from '../../../protocol/registry/entry.ts';
import { BrokerError } from '../../../protocol/errors.ts';
import type { EntryIndex } from '../../memory/entry-index.ts';
import type { Cluster } from '../gateway/cluster.ts';
import { decodeEntry, encodeEntry } from '../entry-value.ts';
import type { Identity } from '../identity.ts';
import { decode, encode } from '../keys.ts';
import type { Leases } from '../writes/leases.ts';
import { type KeyValue, revisionOf, type TxnResponse } from '../gateway/messages.ts';
import { keyAfter, readKey, readPages } from '../gateway/pages.ts';
import { batchesOf, type Batch } from './batches.ts';
import { REQUEST_MS, compareAndSwap, unchangedSince } from './registry-key.ts';

/** The content that is copied into etcd. */
export interface Content {
  readonly id: string;
  /** It is only read; the registry continues from its revision. */
  readonly index: Pick<EntryIndex, 'revision' | 'size' | 'entries' | 'get'>;
  /** The texts that the brokers share, by name. */
  readonly common: Readonly<Record<string, string>>;
}

export interface Filling {
  readonly cluster: Cluster;
  readonly content: Content;
  readonly leases: Leases;
  /** Called for each granted lease. */
  readonly onLease: (lease: string) => void;
  /** Called with the number of copied entries. */
  readonly onProgress: (done: number) => void;
  readonly signal: AbortSignal;
}

/** The number of transactions at once. */
const WRITERS = 4;

/**
 * Copies the content below a prefix that has been claimed, and removes the former content.
 * @returns the registry's new identity: it is still closed.
 */
export async function fill(filling: Filling, claimed: Identity): Promise<Identity> {
  const { cluster, content } = filling;
  await empty(cluster, claimed);
  // A late request to remove must not find the new entries.
  const { id, index } = content;
  const { closed } = claimed;
  const at = await compareAndSwap(cluster, claimed.mod, {
    id,
    revision: index.revision,
    ...(closed && { closed: { ...closed, since: new Date().toISOString() } }),
  });
  const batches = batchesOf(content.index.entries());
  let done = 0;
  const write = async (): Promise<void> => {
    // All writers take batches from one iterator. A failing writer ends it for all.
    for (const batch of batches) {
      filling.signal.throwIfAborted();
      await put(filling, at, batch);
      done += batch.length;
      filling.onProgress(done);
    }
  };
  const writing = await Promise.allSettled(Array.from({ length: WRITERS }, write));
  for (const result of writing) if (result.status === 'rejected') throw result.reason;
  const { keys } = cluster;
  const commons = Object.entries(content.common).map(([name, text]) => ({
    request_put: { key: keys.common(name), value: encode(text) },
  }));
  if (commons.length > 0) await transact(cluster, at, commons);
  return at;
}

/**
 * Removes this registry's former keys. Other keys below the prefix, such as a registry with a longer one, are
 * not ours.
 */
async function empty(cluster: Cluster, claimed: Identity): Promise<void> {
  const { entries, meta, registry } = cluster.keys;
  await transact(cluster, claimed, [
    { request_delete_range: entries },
    { request_delete_range: { key: meta.key, range_end: registry } },
    { request_delete_range: { key: keyAfter(registry), range_end: meta.range_end } },
  ]);
}

async function put({ cluster, leases, onLease }: Filling, at: Identity, batch: Batch): Promise<void> {
  const puts = batch.map(async ({ entry, value }) => {
    const key = cluster.keys.entry(entry.name);
    if (entry.ttlMs === undefined) return { request_put: { key, value } };
    const lease = await leases.grant(entry.ttlMs, performance.now() + REQUEST_MS);
    onLease(lease);
    return { request_put: { key, value, lease } };
  });
  await transact(cluster, at, await Promise.all(puts));
}

/** Succeeds only while the registry has the identity `at`: a repeated request changes nothing. */
async function transact({ gateway, keys }: Cluster, at: Identity, success: readonly object[]): Promise<void> {
  const txn = { compare: [unchangedSince(keys.registry, at.mod)], success };
  const answer = await gateway.ask<TxnResponse>('/v3/kv/txn', txn, performance.now() + REQUEST_MS);
  if (answer.succeeded) return;
  throw new BrokerError(
    'unavailable',
    'Another program has changed the registry in etcd meanwhile; find out which one moves it, and run this again',
  );
}

/**
 * Reads everything back, at one revision, and compares it with the content.
 * @throws BrokerError `internal` that names the first wrong entry.
 */
export async function verify(filling: Filling): Promise<void> {
  const { cluster, content, signal } = filling;
  const { gateway, keys } = cluster;
  const { index } = content;
  const revision = revisionOf((await readKey(gateway, keys.registry)).header);
  let done = 0;
  for await (const kvs of readPages(gateway, keys.entries, revision)) {
    signal.throwIfAborted();
    for (const kv of kvs) check(kv, keys.nameOf(kv.key) ?? '', index);
    done += kvs.length;
    filling.onProgress(done);
  }
  if (done !== index.size) {
    throw new BrokerError(
      'internal',
      `etcd holds ${done} of the ${index.size} entries that were copied; some may have reached the end of their lifetime: run this again`,
    );
  }
  for (const [name, text] of Object.entries(content.common)) {
    const { kv } = await readKey(gateway, keys.common(name));
    if (decode(kv?.value ?? '') !== text) throw differs(`the key 'm/common/${name}'`);
  }
}

function check(kv: KeyValue, name: string, index: Content['index']): void {
  const { entry, lease } = decodeEntry(name, kv, 0);
  const hasLifetime = entry.ttlMs !== undefined;
  if (JSON.stringify(entry) !== JSON.stringify(asStored(index.get(name))) || hasLifetime !== isLease(lease))
    throw differs(`the entry '${name}'`);
}

/** The entry after a round trip through JSON. */
function asStored(entry: Entry | undefined): Entry | undefined {
  return (
    entry && decodeEntry(entry.name, { key: '', value: encodeEntry(entry, '', entry.revision) }, 0).entry
  );
}

function isLease(lease: string | undefined): boolean {
  return lease !== undefined && lease !== '0';
}

function differs(what: string): BrokerError {
  return new BrokerError(
    'internal',
    `etcd does not hold ${what} as it was copied; nothing was switched: run this again`,
  );
}
