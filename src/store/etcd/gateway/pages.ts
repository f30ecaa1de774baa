import { BrokerError } from '../../../protocol/errors.ts';
import type { Gateway } from './gateway.ts';
import type { Range } from '../keys.ts';
import type { KeyValue, RangeResponse } from './messages.ts';

/** The bytes that one request should return, about. */
const PAGE_BYTES = 4 * 1024 * 1024;
/** The entries of a page in any case: 11 MiB, where all have the largest size. */
const FEW = 8;
/** The most times that a page is as long as the one before it, whose entries may have been small. */
const GROWTH = 8;
const MAX_PAGE = 1024;
/** The longest time for one page, in milliseconds. */
const PAGE_MS = 10_000;
/** The same for a page that can be replaced by a shorter one. */
const LONG_PAGE_MS = 5000;
/** The longest time until a page has arrived or the reading has failed, in milliseconds. */
export const LONGEST_PAGE_MS: number = LONG_PAGE_MS + PAGE_MS;

/**
 * All keys of a range at one revision of etcd, page by page, in the order of their bytes. etcd limits a page
 * by keys and not by bytes, so a page that is too large for an answer is asked for again with few keys.
 */
export async function* readPages(
  gateway: Gateway,
  range: Range,
  revision: number,
): AsyncGenerator<readonly KeyValue[], void, undefined> {
  let limit = FEW;
  let { key } = range;
  for (;;) {
    const { kvs = [], more } = await readPage(gateway, { ...range, key, revision }, limit);
    yield kvs;
    const last = kvs.at(-1);
    if (!more || last === undefined) return;
    key = keyAfter(last.key);
    const bytes = kvs.reduce((sum, { value = '' }) => sum + value.length, 1);
    const fitting = Math.floor((PAGE_BYTES * kvs.length) / bytes);
    limit = Math.max(1, Math.min(MAX_PAGE, GROWTH * kvs.length, fitting));
  }
}

async function readPage(gateway: Gateway, range: object, limit: number): Promise<RangeResponse> {
  if (limit <= FEW) return await ask(gateway, { ...range, limit });
  try {
    return await ask(gateway, { ...range, limit }, LONG_PAGE_MS);
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'unavailable') throw error;
    return await ask(gateway, { ...range, limit: FEW });
  }
}

/** The present state of one key, with etcd's present revision. */
export async function readKey(
  gateway: Gateway,
  key: string,
): Promise<Pick<RangeResponse, 'header'> & { readonly kv: KeyValue | undefined }> {
  const { header, kvs } = await ask(gateway, { key });
  return { header, kv: kvs?.[0] };
}

function ask(gateway: Gateway, range: object, ms: number = PAGE_MS): Promise<RangeResponse> {
  return gateway.ask<RangeResponse>('/v3/kv/range', range, performance.now() + ms);
}

/** The first key after one: with a zero byte at its end. */
export function keyAfter(base64: string): string {
  return Buffer.concat([Buffer.from(base64, 'base64'), Buffer.from([0])]).toString('base64');
}
