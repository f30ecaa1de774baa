import type { JsonObject } from '../../protocol/data.ts';
import type { Entry } from '../../protocol/entry.ts';

/**
 * What an entry counts for `_store.max_bytes` besides its name and data: about what it takes of memory for itself, so that
 * a registry of many small entries is held to what can be opened again as well.
 */
export const ENTRY_BYTES = 512;

/** Bytes that an entry counts: its name and its data as JSON, and {@link ENTRY_BYTES}. */
export function sizeOf({ name, data }: { readonly name: string; readonly data: JsonObject }): number {
  return ENTRY_BYTES + Buffer.byteLength(JSON.stringify(name)) + Buffer.byteLength(JSON.stringify(data));
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
