import { plainAddress } from '../protocol/address.ts';
import type { ConnectionInfo } from './runtime.ts';

/** What the servers that may carry the app hand it as its environment. */
interface ServerEnvironment {
  /** Our own `serve`. */
  readonly connection?: ConnectionInfo;
  /** @hono/node-server. */
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string; destroy?(): void } };
  /** `Bun.serve({ fetch: app.fetch })`; wrapped as `server` by some adapters. */
  readonly requestIP?: (request: Request) => { readonly address: string } | null;
  readonly timeout?: (request: Request, seconds: number) => void;
  readonly server?: ServerEnvironment;
  /** `Deno.serve(app.fetch)`. */
  readonly remoteAddr?: { readonly hostname?: string };
}

/**
 * The connection that a request came in on, whichever server carries the app: ours, or one that the app is mounted in.
 * The address is `''` where a server does not tell.
 */
export function connectionOf(environment: unknown, request: Request): ConnectionInfo {
  const env = (environment ?? {}) as ServerEnvironment;
  if (env.connection) return env.connection;
  const bun = env.requestIP ? env : env.server;
  return {
    get remoteAddress(): string {
      const address =
        env.incoming?.socket?.remoteAddress ??
        bun?.requestIP?.(request)?.address ??
        env.remoteAddr?.hostname ??
        '';
      return plainAddress(address);
    },
    // The limits for a body are those of the server that the app is mounted in.
    awaitBody: () => undefined,
    keepOpen: () => bun?.timeout?.(request, 0),
    // Bun's own default.
    answered: () => bun?.timeout?.(request, 10),
    drop() {
      const { socket } = env.incoming ?? {};
      socket?.destroy?.();
      bun?.timeout?.(request, 1);
      return socket?.destroy !== undefined || bun?.timeout !== undefined;
    },
  };
}
