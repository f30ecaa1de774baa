import { type EntryData, type Json, type JsonObject, stringOf } from '../formats/data.ts';
import { BrokerError, escapeControls } from '../errors.ts';

/** One entry of the registry, as stores keep it. Never changed in place. */
export interface Entry {
  readonly name: string;
  readonly data: EntryData;
  /** When it was last written: Unix time in whole seconds. */
  readonly lastWriteTs: number;
  /** Address of the client that wrote it. */
  readonly lastWriteIp: string;
  /** The registry's revision at the last write; grows with every write to any entry. */
  readonly revision: number;
  /** Lifetime in milliseconds from the last write or renewal; without it the entry exists until it is deleted. */
  readonly ttlMs?: number;
}

/** One change of the registry, as a watch reports it. */
export interface Change {
  readonly type: 'put' | 'delete' | 'expire';
  readonly name: string;
  /** The registry's revision that this change made. */
  readonly revision: number;
  /** The entry after the change; absent when it is gone. */
  readonly entry?: Entry;
}

/** What is thrown where an entry does not exist. */
export function entryNotFound(name: string): BrokerError {
  return new BrokerError('not_found', `Entry '${name}' not found`);
}

/** Whether that is what was thrown, and not that a method or a path does not exist. */
export function isEntryMissing(error: unknown, name: string): boolean {
  return (
    error instanceof BrokerError &&
    error.code === 'not_found' &&
    error.message === entryNotFound(name).message
  );
}

/** An entry's data with its stamps, as it travels and as the configuration file holds it. */
export interface StampedData extends JsonObject {
  readonly last_write_ts: number;
  readonly last_write_ip: string;
}

/** The form in which an entry's data travels: led by its stamps, a string as `_str` (contract, sections 3 and 5). */
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

/** What a user sees of stamped data: the string, or the whole object. */
export function visibleData(stamped: JsonObject): string | JsonObject {
  return stringOf(unstamp(stamped).data) ?? stamped;
}

/**
 * JSON with a space after `:` and `,`, as the original printed it: `{"a": 1, "b": [2, 3]}`. DEL and the controls of C1, which
 * JSON leaves as they are, are escaped as those of C0 are: a terminal takes them for orders.
 */
export function spacedJson(value: Json | undefined): string {
  if (value === undefined) return 'null';
  if (Array.isArray(value)) return `[${(value as readonly Json[]).map(spacedJson).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value as JsonObject).map(
      ([key, item]) => `${escapedJson(key)}: ${spacedJson(item)}`,
    );
    return `{${members.join(', ')}}`;
  }
  return escapedJson(value);
}

function escapedJson(value: Json): string {
  // No text in JSON has control characters of its own.
  return escapeControls(JSON.stringify(value));
}
