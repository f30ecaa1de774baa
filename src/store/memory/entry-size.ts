import type { JsonObject } from '../../protocol/formats/data.ts';
import type { Entry } from '../../protocol/registry/entry.ts';

/**
 * What an entry counts for `_store.max_bytes` besides its name and data: about what it takes of memory for itself, so that
 * a registry of many small entries is held to what can be opened again as well.
 */
export const ENTRY_BYTES = 512;

/** An entry's name and data as JSON: made once, for what it counts and for its record. */
export interface EntryText {
  readonly name: string;
  readonly data: string;
  /** Bytes that the entry counts: those of both texts, and {@link ENTRY_BYTES}. */
  readonly size: number;
}

export function textOf(entry: { readonly name: string; readonly data: JsonObject }): EntryText {
  const name = JSON.stringify(entry.name);
  const data = JSON.stringify(entry.data);
  return { name, data, size: ENTRY_BYTES + Buffer.byteLength(name) + Buffer.byteLength(data) };
}

/** Bytes that an entry counts. */
export function sizeOf(entry: { readonly name: string; readonly data: JsonObject }): number {
  return textOf(entry).size;
}

const STAMPS = '{"last_write_ts":,"last_write_ip":"",'.length;

/** The same, from the bytes of its line in the file as the broker writes it. */
export function sizeInLine(lineBytes: number, { data, lastWriteTs, lastWriteIp }: Entry): number {
  const stamps = STAMPS + String(lastWriteTs).length + Buffer.byteLength(JSON.stringify(lastWriteIp)) - 2;
  // Of what comes first, `{` is the data's; where that is empty, no comma follows.
  const empty = isEmpty(data) ? 1 : 0;
  return ENTRY_BYTES + lineBytes - ': '.length - (stamps - 1 - empty);
}

function isEmpty(data: JsonObject): boolean {
  for (const _ in data) return false;
  return true;
}
