import { type Context, Hono } from 'hono';
import { PatternRouter } from 'hono/router/pattern-router';
import { failure, jsonReply, type Reply } from '../modules/module.ts';
import type { ConnectionInfo } from '../protocol/connection.ts';
import { BrokerError } from '../protocol/errors.ts';
import { type RequestHandler, type HandlerOptions, refuse } from './requests/request-handler.ts';
import { type ClientAddress, connectionOf } from './access/connection.ts';
import { type DiscoveryExchange, readQuery } from './discover.ts';
import { statusPage } from './page/status-page.ts';
import type { Readiness } from './readiness.ts';
import { headerOf } from './requests/request-call.ts';
import { bearer } from './requests/request-parameters.ts';
import { requestIdOf, withRequestId } from './requests/request-id.ts';

/** The parts that the routes of the API need. */
export interface RoutesOptions extends HandlerOptions {
  /** Returns the client's address, where the server that carries the app does not, or returns a wrong one. */
  readonly clientAddress?: ClientAddress | undefined;
  readonly readiness: () => Readiness;
  /** The answer of `/metrics` to an allowed caller. */
  readonly metrics: (caller: MetricsCaller) => Promise<Reply>;
  /** What `/status` answers. */
  readonly status: (caller: MetricsCaller) => Promise<Reply>;
  /** The text of `/openapi.json`. */
  readonly openApi: () => Promise<string>;
  /** What `/identity` answers. */
  readonly identity?: BrokerIdentity | undefined;
  /** What the status page says of the broker besides, by name; nothing secret. Default: nothing. */
  readonly about?: (() => Readonly<Record<string, string>>) | undefined;
  /** Answers `POST /discover`; absent for a broker without a discovery key. */
  readonly discovery?: DiscoveryExchange | undefined;
}

/** Which running broker this is. Nothing of it is a secret. */
export interface BrokerIdentity {
  /** Tells its registry from all others. */
  readonly id: string;
  /** Identifies the running process; a new one at each start. */
  readonly instance: string;
  /** Whether other brokers serve the same registry; default false. */
  readonly shared?: boolean;
}

/** The caller of `/metrics` or `/status`, with its key. */
export interface MetricsCaller {
  readonly clientAddress: string;
  readonly requestId: string;
  key(): string | undefined;
  header(name: string): string | undefined;
}

/** The routes of the HTTPS API (contract, section 5). `answer` answers the calls of modules. */
export function createRoutes(options: RoutesOptions, answer: RequestHandler): Hono {
  const { toResponse } = options;
  const call = (c: Context): Response | Promise<Response> => {
    const { module = '', method = '' } = c.req.param();
    return answer(c.req.raw, connectionOf(c, options.clientAddress), module, method);
  };
  const app = new Hono({ strict: false, router: new PatternRouter() });
  const own = (method: 'get' | 'post', path: string, handle: Handle): void => {
    app[method](path, counted(path, handle, options));
  };
  own('get', '/', () => toResponse(statusPage({ readiness: options.readiness(), about: aboutOf(options) })));
  own('get', '/healthz', () => toResponse(jsonReply({ status: 'ok' })));
  own('get', '/readyz', () => {
    const readiness = options.readiness();
    return toResponse(jsonReply(readiness, readiness.ready ? 200 : 503));
  });
  own('get', '/metrics', async (c) => toResponse(await options.metrics(callerOf(c, options))));
  own('get', '/status', async (c) => toResponse(await options.status(callerOf(c, options))));
  own('get', '/openapi.json', async () => toResponse({ body: await options.openApi() }));
  for (const method of ['get', 'post'] as const)
    own(method, '/identity', (c) =>
      toResponse(options.identity ? jsonReply({ ...options.identity }) : noSuchPath(c)),
    );
  own('post', '/discover', (c) => discover(c, options));
  app.all('/:module/:method', call);
  // An app that this one is mounted in may treat paths with a final slash as different ones.
  app.all('/:module/:method/', call);
  app.notFound(counted('', (c) => toResponse(noSuchPath(c)), options));
  app.onError((error, c) => toResponse(refuse(error, c.req.raw, options.log)));
  return app;
}

function aboutOf({ identity, about }: RoutesOptions): Record<string, string> {
  return { ...about?.(), ...(identity ? { Registry: identity.id, Instance: identity.instance } : {}) };
}

type Handle = (c: Context) => Response | Promise<Response>;

/** Answers a path of the broker, and counts the request. */
function counted(path: string, handle: Handle, { requests, log, toResponse }: RoutesOptions): Handle {
  const route = requests.routeOfPath(path);
  return async (c) => {
    const since = performance.now();
    const response = await attempt(c);
    requests.answered(route, response.status, since, false);
    return response;
  };

  async function attempt(c: Context): Promise<Response> {
    try {
      return await handle(c);
    } catch (error) {
      return toResponse(refuse(error, c.req.raw, log));
    }
  }
}

function callerOf(c: Context, { clientAddress }: RoutesOptions): MetricsCaller {
  const request = c.req.raw;
  return {
    get clientAddress() {
      return connectionOf(c, clientAddress).remoteAddress;
    },
    get requestId() {
      return requestIdOf(request);
    },
    key: () => bearer(request),
    header: (name) => headerOf(request, name),
  };
}

function noSuchPath(c: Context): Reply {
  return withRequestId(failure(new BrokerError('not_found', `No such path: ${c.req.path}`)), c.req.raw);
}

/** Keyed discovery over HTTPS. A client without the key learns nothing, not even that the broker has one. */
async function discover(c: Context, options: RoutesOptions): Promise<Response> {
  const { discovery, toResponse } = options;
  const query = discovery && (await readQuery(c.req.raw));
  const reply = query && discovery.exchange(query, connectionOf(c, options.clientAddress).remoteAddress);
  if (!reply) return toResponse(noSuchPath(c));
  return toResponse({ contentType: 'application/octet-stream', body: new Uint8Array(reply) });
}

/** Answers a request to a server of the broker. */
export type Fetch = (request: Request, connection: ConnectionInfo) => Response | Promise<Response>;

/** A path of a module and a method that needs no decoding, on any host. */
const plainPath = /^https:\/\/[^/?#]+\/([\w-]+)\/([\w-]+)(?:\?|$)/;

/**
 * Answers as the app of {@link createRoutes} does. Calls, which are most requests, bypass its router and its
 * objects for each request, since they need only `answer`.
 */
export function createFetch(app: Hono, answer: RequestHandler): Fetch {
  return (request, connection) => {
    const [, module, method] = plainPath.exec(request.url) ?? [];
    if (module === undefined || method === undefined || request.method === 'HEAD')
      return app.fetch(request, { connection });
    return answer(request, connection, module, method);
  };
}
