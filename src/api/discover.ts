import { QUERY_SIZES } from '../protocol/discovery/keyed-discovery.ts';

/** What answers keyed discovery over HTTPS: the process that serves the app knows its addresses and certificate. */
export interface DiscoveryExchange {
  /** What `POST /discover` answers to a body from that address; nothing for whatever may not be answered. */
  exchange(query: Uint8Array, source: string): Uint8Array | undefined;
}

/** Reads the body of `POST /discover`; nothing when it has not the length of a query, of which no more is read. */
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
