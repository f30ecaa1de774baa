import type { EtcdFetch } from './gateway.ts';

/**
 * The platform's `fetch`, with each request sent once. Deno sends a request anew when its connection breaks, also one that the
 * server may have carried out, unless its body is a stream or a blob: what it then tells of the second says nothing of the first.
 */
export const fetchOnce: EtcdFetch = (url, init) => {
  const { body } = init;
  return fetch(url, typeof body === 'string' ? { ...init, body: new Blob([body]) } : init);
};
