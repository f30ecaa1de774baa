import type { JsonObject } from '../../protocol/formats/data.ts';
import type { Entry } from '../../protocol/registry/entry.ts';

/**
 * The size of an entry for `_store.max_bytes` besides its name and data: about its own cost in memory. So a
 * registry of many small entries stays within the limit of what can be opened again.
 */
export const ENTRY_BYTES = 512;

/** An entry's name and data as JSON: made once, for its size and for its record. */
export interface EntryText {
  readonly name: string;
  readonly data: string;
  /** The size of the entry in bytes: that of both texts, and {@link ENTRY_BYTES}. */
  readonly size: number;
}

export function textOf(entry: { readonly name: string; readonly data: JsonObject }): EntryText {
  const name = JSON.stringify(entry.name);
  const data = JSON.stringify(entry.data);
  return { name, data, size: ENTRY_BYTES + Buffer.byteLength(name) + Buffer.byteLength(data) };
}

/** The size of an entry in bytes. */
export function sizeOf(entry: { readonly name: string; readonly data: JsonObject }): number {
  return textOf(entry).size;
}

const STAMPS = '{"last_write_ts":,"last_write_ip":"",'.length;

/** The same, from the bytes of its line in the file as the broker writes it. */
export function sizeInLine(lineBytes: number, { data, lastWriteTs, lastWriteIp }: Entry): number {
  const stamps = STAMPS + String(lastWriteTs).length + Buffer.byteLength(JSON.stringify(lastWriteIp)) - 2;
  // The first brace belongs to the data; empty data has no comma after it.
  const empty = isEmpty(data) ? 1 : 0;
  return ENTRY_BYTES + lineBytes - ': '.length - (stamps - 1 - empty);
}

function isEmpty(data: JsonObject): boolean {
  for (const _ in data) return false;
  return true;
}
