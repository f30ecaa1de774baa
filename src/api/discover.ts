import { QUERY_SIZES } from '../protocol/discovery/keyed-datagrams.ts';

/**
 * Answers keyed discovery over HTTPS: the process that serves the app knows its addresses and certificate.
 */
export interface DiscoveryExchange {
  /**
   * The answer of `POST /discover` to a body from that address; undefined for a query that may not be
   * answered.
   */
  exchange(query: Uint8Array, source: string): Uint8Array | undefined;
}

/**
 * Reads the body of `POST /discover`; undefined when its length is not that of a query. It reads no more than
 * one.
 */
export async function readQuery(request: Request): Promise<Uint8Array | undefined> {
  const longest = QUERY_SIZES.at(-1) ?? 0;
  if (Number(request.headers.get('content-length') ?? 0) > longest || request.body === null) return undefined;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body) {
    size += chunk.byteLength;
    if (size > longest) return undefined;
    chunks.push(chunk);
  }
  return new Uint8Array(Buffer.concat(chunks));
}
