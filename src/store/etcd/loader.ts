import { messageOf } from '../../protocol/errors.ts';
import { decodeEntry, type StoredEntry } from './entry-value.ts';
import { grpcOf, OUT_OF_RANGE } from './failures.ts';
import type { Gateway } from './gateway.ts';
import type { Keys } from './keys.ts';
import { type KeyValue, type RangeResponse, revisionOf } from './messages.ts';

/** The registry as of one revision. */
export interface Loaded {
  readonly entries: readonly StoredEntry[];
  readonly revision: number;
}

/** What one request is to bring, about. */
const PAGE_BYTES = 4 * 1024 * 1024;
const FIRST_PAGE = 64;
const MAX_PAGE = 4096;
/** Longest that one page may take. */
const PAGE_MS = 10_000;

/**
 * Reads every entry, page by page, as of one revision.
 * @param behind how many revisions before the present one, so that what came since is seen change by change; the present one
 *   where those have been compacted.
 * @param onProblem told of a value that no broker has written: it is left out.
 */
export async function loadEntries(
  gateway: Gateway,
  keys: Keys,
  behind: number,
  onProblem: (problem: string) => void,
): Promise<Loaded> {
  const probe = { key: keys.registry, keys_only: true };
  const { header } = await page(gateway, probe);
  const present = revisionOf(header);
  try {
    return await loadAt(gateway, keys, Math.max(1, present - behind), onProblem);
  } catch (error) {
    if (grpcOf(error) !== OUT_OF_RANGE || behind === 0) throw error;
    return await loadAt(gateway, keys, present, onProblem);
  }
}

async function loadAt(
  gateway: Gateway,
  keys: Keys,
  revision: number,
  onProblem: (problem: string) => void,
): Promise<Loaded> {
  const entries: StoredEntry[] = [];
  let limit = FIRST_PAGE;
  let { key } = keys.entries;
  for (;;) {
    const { kvs = [], more } = await page(gateway, { ...keys.entries, key, limit, revision });
    for (const kv of kvs) {
      const stored = tryDecode(keys, kv, onProblem);
      if (stored) entries.push(stored);
    }
    const last = kvs.at(-1);
    if (!more || last === undefined) return { entries, revision };
    key = keyAfter(last.key);
    const bytes = kvs.reduce((sum, { value = '' }) => sum + value.length, 1);
    limit = Math.max(1, Math.min(MAX_PAGE, Math.floor((PAGE_BYTES * kvs.length) / bytes)));
  }
}

function page(gateway: Gateway, range: object): Promise<RangeResponse> {
  return gateway.ask<RangeResponse>('/v3/kv/range', range, performance.now() + PAGE_MS);
}

function tryDecode(keys: Keys, kv: KeyValue, onProblem: (problem: string) => void): StoredEntry | undefined {
  const name = keys.nameOf(kv.key);
  if (name === undefined) return undefined;
  try {
    return decodeEntry(name, kv);
  } catch (error) {
    onProblem(messageOf(error));
    return undefined;
  }
}

/** The first key after one: with a zero byte at its end. */
function keyAfter(base64: string): string {
  return Buffer.concat([Buffer.from(base64, 'base64'), Buffer.from([0])]).toString('base64');
}
