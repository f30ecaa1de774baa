import type { EtcdFetch } from './gateway.ts';

/**
 * The platform's `fetch`, which sends each request once. Deno repeats a request when its connection breaks,
 * unless its body is a stream or a blob. The server may have carried out the first one, and the answer to the
 * second says nothing about that.
 */
export const fetchOnce: EtcdFetch = (url, init) => {
  const { body } = init;
  return fetch(url, typeof body === 'string' ? { ...init, body: new Blob([body]) } : init);
};
