import type { ClientEntry } from '../client/answers.ts';
import type { JsonObject } from '../protocol/data.ts';
import { spacedJson } from '../protocol/entry.ts';
import type { Result } from './output.ts';

/** How one entry is printed: a string as it is, an object led by its stamps (contract, section 3). */
export function entryResult(entry: ClientEntry): Result {
  if (typeof entry.data === 'string') {
    return { text: [entry.data], json: entry.data, rows: [{ data: entry.data }] };
  }
  return { text: [spacedJson(entry.stamped)], json: entry.stamped, rows: [entry.stamped] };
}

/** How a list of entries is printed: a line each, name and data with a tab between. */
export function listResult(entries: readonly ClientEntry[]): Result {
  const rows = entries.map((entry): JsonObject => ({
    name: entry.name,
    data: entry.data,
    revision: entry.revision,
    last_write_ts: entry.lastWriteTs,
    last_write_ip: entry.lastWriteIp,
  }));
  return { text: entries.map((entry) => `${entry.name}\t${lineOf(entry)}`), json: rows, rows };
}

/** How a number of entries is printed. */
export function countResult(count: number): Result {
  return { text: [String(count)], json: count, rows: [{ count }] };
}

/** Data on one line: a string that would break the line is shown as JSON. */
function lineOf({ data, stamped }: ClientEntry): string {
  if (typeof data !== 'string') return spacedJson(stamped);
  // oxlint-disable-next-line no-control-regex -- those are what it looks for
  return /[\u0000-\u001f\u007f-\u009f]/.test(data) ? spacedJson(data) : data;
}
