import { type EntryData, type Json, type JsonObject, stringOf } from '../formats/data.ts';
import { toJson } from '../formats/json.ts';
import { BrokerError } from '../errors.ts';

/** One entry of the registry, as stores keep it. It is never changed in place. */
export interface Entry {
  readonly name: string;
  readonly data: EntryData;
  /** The time of the last write: Unix time in whole seconds. */
  readonly lastWriteTs: number;
  /** The address of the client of the last write. */
  readonly lastWriteIp: string;
  /** The registry's revision at the last write. It grows with every write to any entry. */
  readonly revision: number;
  /**
   * The lifetime in milliseconds from the last write or renewal; without it the entry exists until it is
   * deleted.
   */
  readonly ttlMs?: number;
}

/** One change of the registry, as a watch reports it. */
export interface Change {
  readonly type: 'put' | 'delete' | 'expire';
  readonly name: string;
  /** The registry's revision that this change made. */
  readonly revision: number;
  /** The entry after the change; absent when it was deleted or has expired. */
  readonly entry?: Entry;
}

/** The error for an entry that does not exist. */
export function entryNotFound(name: string): BrokerError {
  return new BrokerError('not_found', `Entry '${name}' not found`);
}

/** Whether `error` says that the entry does not exist, and not that a method or a path does not. */
export function isEntryMissing(error: unknown, name: string): boolean {
  return (
    error instanceof BrokerError &&
    error.code === 'not_found' &&
    error.message === entryNotFound(name).message
  );
}

/** An entry's data with its stamps: its form on the wire and in the configuration file. */
export interface StampedData extends JsonObject {
  readonly last_write_ts: number;
  readonly last_write_ip: string;
}

/** The data of an entry, led by its stamps, a string as `_str` (contract, sections 3 and 5). */
export function stamp(entry: Entry): StampedData {
  return { last_write_ts: entry.lastWriteTs, last_write_ip: entry.lastWriteIp, ...entry.data };
}

/** The reverse of {@link stamp}: the data and the stamps apart. Stamps that are missing become 0 and `''`. */
export function unstamp(stamped: JsonObject): Pick<Entry, 'data' | 'lastWriteTs' | 'lastWriteIp'> {
  const { last_write_ts: ts, last_write_ip: ip, ...data } = stamped;
  return {
    data,
    lastWriteTs: typeof ts === 'number' ? Math.trunc(ts) : 0,
    lastWriteIp: typeof ip === 'string' ? ip : '',
  };
}

/** An entry's lifetime as answers carry it, in seconds; nothing for an entry without one. */
export function lifetimeOf({ ttlMs }: Pick<Entry, 'ttlMs'>): { readonly ttl?: number } {
  return ttlMs === undefined ? {} : { ttl: ttlMs / 1000 };
}

/** The part of stamped data that a user sees: the string, or the whole object. */
export function visibleData(stamped: JsonObject): string | JsonObject {
  return stringOf(unstamp(stamped).data) ?? stamped;
}

/**
 * JSON with a space after `:` and `,`, as the original printed it: `{"a": 1, "b": [2, 3]}`. DEL and the C1
 * controls are escaped like those of C0: JSON leaves them in place, and a terminal obeys them.
 */
export function spacedJson(value: Json | undefined): string {
  if (value === undefined) return 'null';
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(spacedJson).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value as JsonObject).map(
      ([key, item]) => `${toJson(key)}: ${spacedJson(item)}`,
    );
    return `{${members.join(', ')}}`;
  }
  return toJson(value);
}
