import { isObject, type Json, type JsonObject } from '../../protocol/formats/data.ts';
import { type Entry, stamp, unstamp } from '../../protocol/registry/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { parseJson } from '../../protocol/formats/json.ts';
import { makeEntry } from '../memory/new-entry.ts';
import { decode, encode } from './keys.ts';
import { type KeyValue, modRevisionOf } from './gateway/messages.ts';

/** An entry as it is in etcd. */
export interface StoredEntry {
  readonly entry: Entry;
  /** Its lease, where it has a lifetime. */
  readonly lease: string | undefined;
  /** Identifies the write that made it. */
  readonly write: string;
  /** etcd's revision of its key. */
  readonly mod: number;
}

/**
 * The value of an entry's key: `{"write": …, "ttl_ms": …, "revision": …, "entry": {…}}`, with the entry as in
 * the configuration file.
 * @param revision of an entry that was moved into etcd and not written since: clients know it by that one.
 * Any other has the revision of its key.
 */
export function encodeEntry(entry: Omit<Entry, 'revision'>, write: string, revision?: number): string {
  const ttl = entry.ttlMs === undefined ? {} : { ttl_ms: entry.ttlMs };
  const kept = revision === undefined ? {} : { revision };
  return encode(JSON.stringify({ write, ...ttl, ...kept, entry: stamp({ ...entry, revision: 0 }) }));
}

/**
 * @param offset the registry's revision minus etcd's.
 * @throws BrokerError `invalid_config` for a value that no broker has written.
 */
export function decodeEntry(name: string, kv: KeyValue, offset: number): StoredEntry {
  const value = read(kv);
  const stamped = value?.['entry'];
  if (!value || !isObject(stamped)) {
    throw new BrokerError(
      'invalid_config',
      `The key '${decode(kv.key)}' in etcd holds no entry of a broker; remove it, or give the registry a prefix of its own`,
    );
  }
  const { data, lastWriteTs, lastWriteIp } = unstamp(stamped);
  const { ttl_ms: ttl, write, revision: kept } = value;
  const mod = modRevisionOf(kv);
  const revision = numberOf(kept) ?? mod + offset;
  return {
    entry: makeEntry(name, data, lastWriteTs, lastWriteIp, revision, numberOf(ttl)),
    lease: kv.lease,
    write: textOf(write),
    mod,
  };
}

/** The value that a deletion writes: its id, and whether the end of a lifetime caused it. */
export function encodeDeletion(write: string, expired: boolean): string {
  return encode(JSON.stringify({ write, ...(expired ? { expired } : {}) }));
}

export function decodeDeletion(kv: KeyValue): { write: string; expired: boolean } {
  const value = read(kv);
  return { write: textOf(value?.['write']), expired: value?.['expired'] === true };
}

function read({ value = '' }: KeyValue): JsonObject | undefined {
  let parsed: unknown;
  try {
    parsed = parseJson(decode(value));
  } catch {
    return undefined;
  }
  return isObject(parsed) ? parsed : undefined;
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}

function numberOf(value: Json | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined;
}
