import { Agent, request } from 'node:https';
import { Readable } from 'node:stream';
import tls from 'node:tls';
import type { SecureFetch, SecureFetchOptions } from '../runtime.ts';

/** The most connections that are kept; more are opened when they are needed. */
const MAX_KEPT = 64;

/**
 * `fetch` with authorities and a client certificate, for Node and Deno, whose own `fetch` accepts neither.
 */
export function openSecureFetch({ authorities, cert, key }: SecureFetchOptions): SecureFetch {
  const ca = authorities === undefined ? {} : { ca: [...authorities] };
  const own = cert === undefined ? {} : { cert, key };
  const secureContext = tls.createSecureContext({ ...ca, ...own, minVersion: 'TLSv1.2' });
  const agent = new Agent({ keepAlive: true, maxFreeSockets: MAX_KEPT, secureContext });
  return {
    fetch: (url, { method = 'GET', headers, body, signal }) =>
      new Promise((resolve, reject) => {
        const sent = request(url, {
          agent,
          method,
          headers: { ...(headers as Record<string, string>) },
          ...(signal ? { signal } : {}),
        });
        sent.once('error', reject);
        sent.once('response', (answer) => {
          // The body of the answer reports later errors.
          sent.removeListener('error', reject);
          sent.on('error', () => undefined);
          const read = Readable.toWeb(answer) as ReadableStream<Uint8Array>;
          resolve(new Response(read, { status: answer.statusCode ?? 500 }));
        });
        sent.end(body as string | undefined);
      }),
    close: () => agent.destroy(),
  };
}
