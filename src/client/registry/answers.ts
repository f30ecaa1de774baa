import { isObject, type Json, type JsonObject } from '../../protocol/formats/data.ts';
import { type StampedData, unstamp, visibleData } from '../../protocol/registry/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';

/** What an entry may hold, as the user's own type describes it: a string or an object. */
export type EntryShape = string | object;

/** An entry as a client sees it. `T` is the type that its reader expects; nothing checks it. */
export interface ClientEntry<T extends EntryShape = string | JsonObject> {
  /** Name of the entry. */
  readonly name: string;
  /** The stored data: the string, or the object without its stamps. */
  readonly data: T;
  /** The registry's revision at the entry's last write. Pass it as `ifRevision` for a conditional write. */
  readonly revision: number;
  /** When it was last written, Unix time in seconds. */
  readonly lastWriteTs: number;
  /** Address of the client that wrote it. */
  readonly lastWriteIp: string;
  /** The data led by its stamps, a string as `_str`: the form of the API (contract, section 5). */
  readonly stamped: StampedData;
}

/** The answer of a list: all of its pages. */
export interface ClientList<T extends EntryShape = string | JsonObject> {
  /** In the byte order of their names. */
  readonly entries: readonly ClientEntry<T>[];
  /** The registry's revision at the first page; later pages may show later changes. */
  readonly revision: number;
}

/** How many entries there are. */
export interface ClientCount {
  readonly count: number;
  /** The registry's revision at the time of the count. */
  readonly revision: number;
}

/** One page of a list, as the API sends it. */
export interface PageAnswer extends ClientList {
  readonly count: number;
  readonly next: string | undefined;
}

/**
 * A change, as a watch reports it. `put`: an entry was written. `delete`, `expire`: it is gone. `reset`: the
 * connection broke, and the broker no longer had every change since. The existing entries follow a reset as
 * `put`.
 */
export type ClientChange<T extends EntryShape = string | JsonObject> =
  | ClientPut<T>
  | { readonly type: 'delete' | 'expire'; readonly name: string; readonly revision: number }
  | { readonly type: 'reset'; readonly revision: number };

/** An entry was written. */
export interface ClientPut<T extends EntryShape = string | JsonObject> {
  readonly type: 'put';
  /** Name of the entry. */
  readonly name: string;
  /** The registry's revision at this write. */
  readonly revision: number;
  /** The stored data: the string, or the object without its stamps. */
  readonly data: T;
  /** When it was written, Unix time in seconds. */
  readonly lastWriteTs: number;
  /** Address of the client that wrote it. */
  readonly lastWriteIp: string;
}

/** The entry in an envelope of `services`. */
export function entryOf(name: string, envelope: Json): ClientEntry {
  const { data, revision } = isObject(envelope) ? envelope : {};
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

/** The page in an envelope of `services.List`. */
export function pageOf(envelope: Json): PageAnswer {
  const { data, revision } = isObject(envelope) ? envelope : {};
  const { entries, count, next } = isObject(data) ? data : {};
  if (!Array.isArray(entries)) throw new BrokerError('internal', 'The answer carries no list of entries');
  return {
    entries: (entries as readonly (JsonObject & { name: string })[]).map((item) => entryOf(item.name, item)),
    count: typeof count === 'number' ? count : entries.length,
    next: typeof next === 'string' ? next : undefined,
    revision: typeof revision === 'number' ? revision : 0,
  };
}
