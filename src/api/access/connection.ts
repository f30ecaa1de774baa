import type { Context } from 'hono';
import { plainAddress } from '../../protocol/addresses/address.ts';
import type { ConnectionInfo } from '../../protocol/connection.ts';

/** The environment that a server which carries the app passes to it. */
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
  /** Set by `handle` of `hono/aws-lambda`, and not by `streamHandle`. */
  readonly lambdaContext?: object;
}

/** Returns the IP address of the client of a request; `''` where it is unknown. */
export type ClientAddress = (c: Context) => string;

/**
 * The connection of a request, whatever server carries the app: ours, or one that the app is mounted in. The
 * address comes from `clientAddress`, if there is one, else from the server; `''` where neither says it.
 */
export function connectionOf(c: Context, clientAddress?: ClientAddress): ConnectionInfo {
  const request = c.req.raw;
  const env = (c.env ?? {}) as ServerEnvironment;
  // On some platforms the environment is the application's settings, and a name does not show what a value
  // is.
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
    // The server that the app is mounted in has its own limits for a body.
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
