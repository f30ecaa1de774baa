import { type Context, Hono } from 'hono';
import { PatternRouter } from 'hono/router/pattern-router';
import { failure, jsonReply, type Reply } from '../modules/module.ts';
import { BrokerError, messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/logger.ts';
import { VERSION } from '../protocol/version.ts';
import type { Dispatcher } from './dispatcher.ts';
import { inFrames, takesFrames } from './framed.ts';
import { type ClientAddress, connectionOf } from './connection.ts';
import { type DiscoveryExchange, readQuery } from './discover.ts';
import type { Readiness } from './readiness.ts';
import { type CallContext, RequestCall } from './request-call.ts';
import { readParameters } from './request.ts';
import { EVENT_STREAM, isWhole, type Responder } from './response.ts';
import type { StreamLimit } from './streams.ts';

/** What the routes of the API stand on. */
export interface RoutesOptions extends CallContext {
  readonly dispatcher: Dispatcher;
  readonly streams: StreamLimit;
  readonly toResponse: Responder;
  /** Who calls, where the server that carries the app does not tell, or not rightly. */
  readonly clientAddress?: ClientAddress | undefined;
  readonly readiness: () => Readiness;
  /** The text of `/openapi.json`. */
  readonly openApi: () => Promise<string>;
  /** What `/identity` answers. */
  readonly identity?: BrokerIdentity | undefined;
  /** Answers `POST /discover`; absent for a broker without a discovery key. */
  readonly discovery?: DiscoveryExchange | undefined;
}

/** Which running broker this is. Nothing of it is a secret. */
export interface BrokerIdentity {
  /** Tells its registry from all others. */
  readonly id: string;
  /** Tells the running process from all others: it is made at each start. */
  readonly instance: string;
  /** Whether other brokers serve the same registry; default false. */
  readonly shared?: boolean;
}

/** The routes of the HTTPS API (contract, section 5). */
export function createRoutes(options: RoutesOptions): Hono {
  const { toResponse } = options;
  const app = new Hono({ strict: false, router: new PatternRouter() });
  app.get('/', () => toResponse({ contentType: 'text/plain; charset=utf-8', body: `bpbroker ${VERSION}\n` }));
  app.get('/healthz', () => toResponse(jsonReply({ status: 'ok' })));
  app.get('/readyz', () => {
    const readiness = options.readiness();
    return toResponse(jsonReply(readiness, readiness.ready ? 200 : 503));
  });
  app.get('/openapi.json', async () => toResponse({ body: await options.openApi() }));
  app.on(['GET', 'POST'], '/identity', (c) =>
    toResponse(options.identity ? jsonReply({ ...options.identity }) : noSuchPath(c)),
  );
  app.post('/discover', (c) => discover(c, options));
  app.all('/:module/:method', (c) => answer(c, options));
  // An app that this one is mounted in may tell paths with a slash at their end from others.
  app.all('/:module/:method/', (c) => answer(c, options));
  app.notFound((c) => toResponse(noSuchPath(c)));
  app.onError((error, c) => toResponse(refuse(error, c, options.log)));
  return app;
}

function noSuchPath(c: Context): Reply {
  return failure(new BrokerError('not_found', `No such path: ${c.req.path}`));
}

/** Keyed discovery over HTTPS. Whoever has not the key learns nothing, not even that the broker has one. */
async function discover(c: Context, options: RoutesOptions): Promise<Response> {
  const { discovery, log, toResponse } = options;
  const request = c.req.raw;
  try {
    const query = discovery && (await readQuery(request));
    const reply = query && discovery.exchange(query, connectionOf(c, options.clientAddress).remoteAddress);
    if (!reply) return toResponse(noSuchPath(c));
    return toResponse({ contentType: 'application/octet-stream', body: new Uint8Array(reply) });
  } catch (error) {
    return toResponse(refuse(error, c, log));
  }
}

const methods = new Set(['GET', 'POST', 'DELETE']);

async function answer(c: Context, options: RoutesOptions): Promise<Response> {
  const { dispatcher, streams, log, toResponse } = options;
  const request = c.req.raw;
  if (!methods.has(request.method)) return toResponse(methodNotAllowed(request.method));
  let call: RequestCall | undefined;
  try {
    const connection = connectionOf(c, options.clientAddress);
    const read = readParameters(request, connection);
    const { params, key } = read instanceof Promise ? await read : read;
    const { module = '', method = '' } = c.req.param();
    call = new RequestCall(params, request, connection, module, options);
    const dispatched = dispatcher.dispatch(module, method, key, call);
    const framed = takesFrames(request.headers.get('accept'));
    const reply = await (framed ? inFrames(dispatched, (error) => explain(error, c, log)) : dispatched);
    if (isWhole(reply)) {
      call.answered();
      return toResponse(reply);
    }
    let leave: (() => void) | undefined;
    if (reply.contentType === EVENT_STREAM) {
      if (connection.buffered) throw cannotStream(reply);
      leave = placeFor(reply, streams, dispatcher.holderOf(module, key, call));
    }
    const onEnd = (): void => {
      leave?.();
      call?.answered();
    };
    return toResponse(reply, { connection, onEnd });
  } catch (error) {
    call?.answered();
    return toResponse(refuse(error, c, log));
  }
}

/** A place for the stream of events that `reply` is about to become; one that there is no place for is ended unread. */
function placeFor({ body }: Reply, streams: StreamLimit, holder: string | undefined): () => void {
  try {
    return streams.open(holder);
  } catch (error) {
    abandon(body);
    throw error;
  }
}

/** Ends an answer in parts unread. */
function abandon(body: Reply['body']): void {
  if (typeof body === 'object' && Symbol.asyncIterator in body) void body[Symbol.asyncIterator]().return?.();
}

function cannotStream({ body }: Reply): BrokerError {
  abandon(body);
  return new BrokerError(
    'invalid_request',
    "This server sends an answer only once it is whole, and so cannot watch: ask 'Get' or 'List' with 'wait'",
  );
}

function methodNotAllowed(method: string): Reply {
  const error = new BrokerError(
    'invalid_request',
    `Method ${method} is not taken: expected POST, GET or DELETE`,
  );
  return { ...failure(error), status: 405, headers: { allow: [...methods].join(', ') } };
}

/** What a failed call answers. */
function refuse(error: unknown, c: Context, log: Logger): Reply {
  if (!(error instanceof BrokerError) && c.req.raw.signal.aborted) return jsonReply({}, 499);
  return failure(explain(error, c, log));
}

/** Only a BrokerError's words are for the caller; anything else is ours to look into. */
function explain(error: unknown, c: Context, log: Logger): BrokerError {
  if (error instanceof BrokerError) return error;
  log.error('request failed', {
    path: c.req.path,
    error: error instanceof Error ? (error.stack ?? '') : messageOf(error),
  });
  return new BrokerError('internal', 'The broker failed to answer; its log says why');
}
