import { runtime } from '#runtime';
import { type Context, Hono } from 'hono';
import { PatternRouter } from 'hono/router/pattern-router';
import { type Call, failure, jsonReply, type Reply } from '../modules/module.ts';
import { BrokerError, messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/logger.ts';
import { VERSION } from '../protocol/version.ts';
import { connectionOf } from '../runtime/connection.ts';
import type { ConnectionInfo } from '../runtime/runtime.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Readiness } from './health.ts';
import { readParameters } from './request.ts';
import type { StreamLimit } from './streams.ts';

export interface AppOptions {
  readonly dispatcher: Dispatcher;
  readonly streams: StreamLimit;
  readonly log: Logger;
  readonly readiness: () => Readiness;
  /** Aborted when the broker stops, so that long polls and event streams end. */
  readonly closing: AbortSignal;
}

/** The HTTPS API as a Hono app, to serve or to mount in another one (contract, section 5). */
export function createApp(options: AppOptions): Hono {
  const app = new Hono({ strict: false, router: new PatternRouter() });
  app.get('/', () => toResponse({ contentType: 'text/plain; charset=utf-8', body: `bpbroker ${VERSION}\n` }));
  app.get('/healthz', () => toResponse(jsonReply({ status: 'ok' })));
  app.get('/readyz', () => {
    const readiness = options.readiness();
    return toResponse(jsonReply(readiness, readiness.ready ? 200 : 503));
  });
  app.all('/:module/:method', (c) => answer(c, options));
  app.notFound((c) => toResponse(failure(new BrokerError('not_found', `No such path: ${c.req.path}`))));
  app.onError((error, c) => toResponse(refuse(error, c, options.log)));
  return app;
}

const methods = new Set(['GET', 'POST', 'DELETE']);

async function answer(c: Context, { dispatcher, streams, closing, log }: AppOptions): Promise<Response> {
  const request = c.req.raw;
  if (!methods.has(request.method)) return toResponse(methodNotAllowed(request.method));
  try {
    const connection = connectionOf(c.env, request);
    const read = readParameters(request, connection);
    const { params, key } = read instanceof Promise ? await read : read;
    const call = new RequestCall(params, request, connection, closing);
    const { module = '', method = '' } = c.req.param();
    const reply = await dispatcher.dispatch(module, method, key, call);
    if (reply.contentType !== EVENT_STREAM) return toResponse(reply);
    return toResponse(reply, placeFor(reply, streams, dispatcher.holderOf(module, key, call)));
  } catch (error) {
    return toResponse(refuse(error, c, log));
  }
}

/** A place for the stream that `reply` is about to become; one that there is no place for is ended unread. */
function placeFor({ body }: Reply, streams: StreamLimit, holder: string): () => void {
  try {
    return streams.open(holder);
  } catch (error) {
    if (typeof body === 'object' && Symbol.asyncIterator in body)
      void body[Symbol.asyncIterator]().return?.();
    throw error;
  }
}

// A class, since one is made for each request, and what it gives is rarely asked for.
class RequestCall implements Call {
  readonly params: Readonly<Record<string, unknown>>;
  readonly #request: Request;
  readonly #connection: ConnectionInfo;
  readonly #closing: AbortSignal;
  #signal: AbortSignal | undefined;

  constructor(
    params: Record<string, unknown>,
    request: Request,
    connection: ConnectionInfo,
    closing: AbortSignal,
  ) {
    this.params = params;
    this.#request = request;
    this.#connection = connection;
    this.#closing = closing;
  }

  get httpMethod(): string {
    return this.#request.method;
  }

  get clientAddress(): string {
    return this.#connection.remoteAddress;
  }

  get signal(): AbortSignal {
    this.#signal ??= AbortSignal.any([this.#request.signal, this.#closing]);
    return this.#signal;
  }

  header(name: string): string | undefined {
    return this.#request.headers.get(name) ?? undefined;
  }

  keepOpen(): void {
    this.#connection.keepOpen();
  }

  drop(): void {
    this.#connection.drop();
  }
}

function methodNotAllowed(method: string): Reply {
  const error = new BrokerError(
    'invalid_request',
    `Method ${method} is not taken: expected POST, GET or DELETE`,
  );
  return { ...failure(error), status: 405, headers: { allow: [...methods].join(', ') } };
}

/** What a failed call answers. Only a BrokerError's words are for the caller; anything else is ours to look into. */
function refuse(error: unknown, c: Context, log: Logger): Reply {
  if (error instanceof BrokerError) return failure(error);
  if (c.req.raw.signal.aborted) return jsonReply({}, 499);
  log.error('request failed', {
    path: c.req.path,
    error: error instanceof Error ? (error.stack ?? '') : messageOf(error),
  });
  return failure(new BrokerError('internal', 'The broker failed to answer; its log says why'));
}

const JSON_TYPE = 'application/json';
const EVENT_STREAM = 'text/event-stream';
/** With every answer, should a browser show it: it is of one type, kept nowhere, framed by nobody, and runs nothing. */
const guards = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
};
// Most answers: made once, for all of them.
const plainJson: ResponseInit = {
  status: 200,
  headers: runtime.sharedHeaders({ 'content-type': JSON_TYPE, ...guards }),
};

/** `onEnd` is told when a body that comes in parts has ended, in whatever way. */
function toResponse(reply: Reply, onEnd?: () => void): Response {
  const { status = 200, contentType = JSON_TYPE, body } = reply;
  const isWhole = typeof body === 'string' || body instanceof Uint8Array;
  if (isWhole && status === 200 && contentType === JSON_TYPE && !reply.headers)
    return new Response(body, plainJson);
  const headers: Record<string, string> = { 'content-type': contentType, ...guards, ...reply.headers };
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  if (isWhole) return new Response(body, { status, headers });
  // Tells reverse proxies to hand events on as they come.
  headers['x-accel-buffering'] = 'no';
  return new Response(streamOf(body, onEnd), { status, headers });
}

function streamOf(
  parts: AsyncIterable<string | Uint8Array>,
  onEnd: () => void = () => undefined,
): ReadableStream<Uint8Array> {
  const iterator = parts[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await iterator.next();
        if (!done) {
          controller.enqueue(typeof value === 'string' ? encoder.encode(value) : value);
          return;
        }
        onEnd();
        controller.close();
      } catch (error) {
        onEnd();
        throw error;
      }
    },
    async cancel() {
      onEnd();
      await iterator.return?.();
    },
  });
}
