import type { Gateway } from './gateway.ts';
import type { Range } from '../keys.ts';
import type { KeyValue, RangeResponse } from './messages.ts';

/** What one request is to bring, about. */
const PAGE_BYTES = 4 * 1024 * 1024;
const FIRST_PAGE = 64;
const MAX_PAGE = 4096;
/** Longest that one page may take. */
const PAGE_MS = 10_000;

/** All keys of a range as of one revision of etcd, page by page, in the order of their bytes. */
export async function* readPages(
  gateway: Gateway,
  range: Range,
  revision: number,
): AsyncGenerator<readonly KeyValue[], void, undefined> {
  let limit = FIRST_PAGE;
  let { key } = range;
  for (;;) {
    const { kvs = [], more } = await ask(gateway, { ...range, key, limit, revision });
    yield kvs;
    const last = kvs.at(-1);
    if (!more || last === undefined) return;
    key = keyAfter(last.key);
    const bytes = kvs.reduce((sum, { value = '' }) => sum + value.length, 1);
    limit = Math.max(1, Math.min(MAX_PAGE, Math.floor((PAGE_BYTES * kvs.length) / bytes)));
  }
}

/** One key as it is now, with etcd's present revision. */
export async function readKey(
  gateway: Gateway,
  key: string,
): Promise<Pick<RangeResponse, 'header'> & { readonly kv: KeyValue | undefined }> {
  const { header, kvs } = await ask(gateway, { key });
  return { header, kv: kvs?.[0] };
}

function ask(gateway: Gateway, range: object): Promise<RangeResponse> {
  return gateway.ask<RangeResponse>('/v3/kv/range', range, performance.now() + PAGE_MS);
}

/** The first key after one: with a zero byte at its end. */
function keyAfter(base64: string): string {
  return Buffer.concat([Buffer.from(base64, 'base64'), Buffer.from([0])]).toString('base64');
}
