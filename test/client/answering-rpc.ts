import type { Rpc } from '../../src/client/connection/rpc.ts';

const notAskedFor = (): Promise<never> => Promise.reject(new Error('not asked for'));

/** Calls of a client whose answers come from `open` alone; nothing else may be asked of it. */
export function answeringRpc(open: Rpc['open']): Rpc {
  return {
    connection: {
      address: { host: '127.0.0.1', port: 1 },
      place: '127.0.0.1:1',
      isProxied: false,
      request: notAskedFor,
      probe: () => Promise.resolve(),
      close: () => undefined,
    },
    closed: new AbortController().signal,
    call: notAskedFor,
    open,
    close: () => undefined,
  };
}
