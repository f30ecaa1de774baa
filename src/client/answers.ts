import { isObject, type JsonObject } from '../protocol/data.ts';
import { type StampedData, unstamp, visibleData } from '../protocol/entry.ts';
import { BrokerError } from '../protocol/errors.ts';

/** An entry as a client sees it. */
export interface ClientEntry {
  readonly name: string;
  /** What was stored: the string, or the object without its stamps. */
  readonly data: string | JsonObject;
  /** The registry's revision at its last write; give it as `ifRevision` for a conditional write. */
  readonly revision: number;
  /** When it was last written, Unix time in seconds. */
  readonly lastWriteTs: number;
  /** Address of the client that wrote it. */
  readonly lastWriteIp: string;
  /** Its data led by its stamps, a string as `_str`: the form in which it travels. */
  readonly stamped: StampedData;
}

/** A list's answer: all of its pages. */
export interface ClientList {
  /** In the byte order of their names. */
  readonly entries: readonly ClientEntry[];
  /** The registry's revision of which the first page is the state; later pages may show later changes. */
  readonly revision: number;
}

/** One page of a list, as it travels. */
export interface PageAnswer extends ClientList {
  readonly count: number;
  readonly next: string | undefined;
}

/** A change, as a watch reports it. */
export interface ClientChange {
  /**
   * `put`, `delete` or `expire` of an entry; or `reset`: the broker no longer held every change since the connection
   * broke. The entries that stand follow a reset as `put`.
   */
  readonly type: 'put' | 'delete' | 'expire' | 'reset';
  readonly revision: number;
  /** Absent on `reset`. */
  readonly name?: string;
  /** On `put`: what the entry holds now. */
  readonly data?: string | JsonObject;
  readonly last_write_ts?: number;
  readonly last_write_ip?: string;
}

/** The entry that an envelope of `services` carries. */
export function entryOf(name: string, envelope: JsonObject): ClientEntry {
  const { data, revision } = envelope;
  if (!isObject(data)) throw new BrokerError('internal', `The answer for entry '${name}' carries no data`);
  const own = unstamp(data);
  return {
    name,
    data: visibleData(own.data),
    // The original's brokers have no revisions.
    revision: typeof revision === 'number' ? revision : 0,
    lastWriteTs: own.lastWriteTs,
    lastWriteIp: own.lastWriteIp,
    stamped: data as StampedData,
  };
}

/** The page that an envelope of `services.List` carries. */
export function pageOf(envelope: JsonObject): PageAnswer {
  const { data, revision } = envelope;
  const { entries, count, next } = isObject(data) ? data : {};
  if (!Array.isArray(entries)) throw new BrokerError('internal', 'The answer carries no list of entries');
  return {
    entries: (entries as readonly (JsonObject & { name: string })[]).map((item) => entryOf(item.name, item)),
    count: typeof count === 'number' ? count : entries.length,
    next: typeof next === 'string' ? next : undefined,
    revision: typeof revision === 'number' ? revision : 0,
  };
}
