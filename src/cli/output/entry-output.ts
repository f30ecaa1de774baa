import type { ClientEntry } from '../../client/registry/answers.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { spacedJson } from '../../protocol/registry/entry.ts';
import type { Result } from './output.ts';

export interface EntryOutput {
  /** Whether an entry is printed without its stamps; default false. */
  readonly dataOnly?: boolean;
}

/**
 * How one entry is printed: a string as it is, an object led by its stamps (contract, section 3). `--cols`
 * may also name `name`, `revision`, `data` and the stamps, unless the data has a member of that name.
 */
export function entryResult(entry: ClientEntry, { dataOnly = false }: EntryOutput = {}): Result {
  const { name, revision, data, lastWriteTs, lastWriteIp } = entry;
  const stamps = dataOnly ? {} : { last_write_ts: lastWriteTs, last_write_ip: lastWriteIp };
  const more = [{ name, revision, data, ...stamps }];
  if (typeof data === 'string') return { text: [data], json: data, rows: [{ data }], more };
  const shown = dataOnly ? data : entry.stamped;
  return { text: [spacedJson(shown)], json: shown, rows: [shown], more };
}

/** How a list of entries is printed: a line for each, name and data with a tab between. */
export function listResult(entries: readonly ClientEntry[], { dataOnly = false }: EntryOutput = {}): Result {
  const rows = entries.map(({ name, data, revision, lastWriteTs, lastWriteIp }): JsonObject => ({
    name,
    data,
    ...(dataOnly ? {} : { revision, last_write_ts: lastWriteTs, last_write_ip: lastWriteIp }),
  }));
  const columns = ['name', 'data', ...(dataOnly ? [] : ['revision', 'last_write_ts', 'last_write_ip'])];
  const lines = entries.map((entry) => `${entry.name}\t${lineOf(entry, dataOnly)}`);
  return { text: lines, json: rows, rows, columns };
}

/** How a number of entries is printed. */
export function countResult(count: number): Result {
  return { text: [String(count)], json: count, rows: [{ count }] };
}

/** Data on one line: a string with a line break is shown as JSON. */
function lineOf({ data, stamped }: ClientEntry, dataOnly: boolean): string {
  if (typeof data !== 'string') return spacedJson(dataOnly ? data : stamped);
  // oxlint-disable-next-line no-control-regex -- those are what it looks for
  return /[\u0000-\u001f\u007f-\u009f]/.test(data) ? spacedJson(data) : data;
}
