import type { Context } from 'hono';
import { plainAddress } from '../../protocol/addresses/address.ts';
import type { ConnectionInfo } from '../../protocol/connection.ts';

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
  /** `hono/aws-lambda`: API Gateway (HTTP API) and function URLs, then the older REST API. */
  readonly requestContext?: {
    readonly http?: { readonly sourceIp?: string };
    readonly identity?: { readonly sourceIp?: string };
  };
  /** Given by `handle` of `hono/aws-lambda`, and not by `streamHandle`. */
  readonly lambdaContext?: object;
}

/** Tells the IP address of the client that made a request; `''` where it is not known. */
export type ClientAddress = (c: Context) => string;

/**
 * The connection that a request came in on, whichever server carries the app: ours, or one that the app is mounted in.
 * The address is what `clientAddress` says, if it is given, else the server; `''` where nobody tells.
 */
export function connectionOf(c: Context, clientAddress?: ClientAddress): ConnectionInfo {
  const request = c.req.raw;
  const env = (c.env ?? {}) as ServerEnvironment;
  // On some platforms the environment is the application's own settings, and a name says nothing of what it is.
  if (typeof env.connection?.keepOpen === 'function' && !clientAddress) return env.connection;
  const bun = [env, env.server].find((server) => typeof server?.requestIP === 'function');
  return {
    get remoteAddress(): string {
      if (clientAddress) return plainAddress(clientAddress(c));
      const context = env.requestContext;
      const address =
        env.incoming?.socket?.remoteAddress ??
        bun?.requestIP?.(request)?.address ??
        env.remoteAddr?.hostname ??
        context?.http?.sourceIp ??
        context?.identity?.sourceIp ??
        '';
      return plainAddress(address);
    },
    buffered: env.lambdaContext !== undefined,
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
