import { isObject } from '../../../protocol/formats/data.ts';
import type { Change } from '../../../protocol/registry/entry.ts';
import { makeEntry } from '../../memory/new-entry.ts';
import { type EntryText, textOf } from '../../memory/entry-size.ts';

/**
 * The journal's record of one change, as JSON: `put`, `del` or `exp` names the entry. `text` is that of the
 * entry.
 */
export function encodeRecord(change: Change, text?: EntryText): string {
  const { entry } = change;
  if (entry === undefined) {
    const name = JSON.stringify(change.name);
    return `{"${change.type === 'expire' ? 'exp' : 'del'}":${name},"rev":${change.revision}}`;
  }
  const { name, data } = text ?? textOf(entry);
  const ttl = entry.ttlMs === undefined ? '' : `,"ttl":${entry.ttlMs}`;
  const ip = JSON.stringify(entry.lastWriteIp);
  return `{"put":${name},"rev":${entry.revision},"data":${data},"ts":${entry.lastWriteTs},"ip":${ip}${ttl}}`;
}

/** The reverse of {@link encodeRecord}; undefined when `record` is not one. */
export function decodeRecord(record: unknown): Change | undefined {
  if (!isObject(record) || !isRevision(record['rev'])) return undefined;
  const { put, del, exp, rev: revision } = record;
  if (typeof del === 'string') return { type: 'delete', name: del, revision };
  if (typeof exp === 'string') return { type: 'expire', name: exp, revision };
  if (typeof put !== 'string') return undefined;
  const { data, ts, ip, ttl } = record;
  if (!isObject(data) || typeof ts !== 'number' || typeof ip !== 'string') return undefined;
  if (ttl !== undefined && typeof ttl !== 'number') return undefined;
  return { type: 'put', name: put, revision, entry: makeEntry(put, data, ts, ip, revision, ttl) };
}

export function isRevision(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
