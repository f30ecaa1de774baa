import { type Context, Hono } from 'hono';
import { PatternRouter } from 'hono/router/pattern-router';
import { type Call, failure, jsonReply, type Reply } from '../modules/module.ts';
import { BrokerError, messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/logger.ts';
import { VERSION } from '../protocol/version.ts';
import { connectionOf } from '../runtime/connection.ts';
import type { ConnectionInfo } from '../runtime/runtime.ts';
import type { Dispatcher } from './dispatcher.ts';
import { inFrames, takesFrames } from './framed.ts';
import type { Readiness } from './health.ts';
import { type KeyedDiscovery, readQuery } from './keyed-discovery.ts';
import { readParameters } from './request.ts';

export interface AppOptions {
  readonly dispatcher: Dispatcher;
  readonly log: Logger;
  readonly readiness: () => Readiness;
  /** Aborted when the broker stops, so that long polls and event streams end. */
  readonly closing: AbortSignal;
  /** Answers `POST /discover`; absent for a broker without a discovery key. */
  readonly discovery?: Pick<KeyedDiscovery, 'exchange'> | undefined;
}

/** The HTTPS API as a Hono app, to serve or to mount in another one (contract, section 5). */
export function createApp(options: AppOptions): Hono {
  const app = new Hono({ strict: false, router: new PatternRouter() });
  app.get('/', (c) => c.text(`bpbroker ${VERSION}\n`));
  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/readyz', (c) => {
    const readiness = options.readiness();
    return c.json(readiness, readiness.ready ? 200 : 503);
  });
  app.post('/discover', (c) => discover(c, options));
  app.all('/:module/:method', (c) => answer(c, options));
  app.notFound((c) => toResponse(noSuchPath(c)));
  app.onError((error, c) => toResponse(refuse(error, c, options.log)));
  return app;
}

function noSuchPath(c: Context): Reply {
  return failure(new BrokerError('not_found', `No such path: ${c.req.path}`));
}

/** Keyed discovery over HTTPS. Whoever has not the key learns nothing, not even that the broker has one. */
async function discover(c: Context, { discovery, log }: AppOptions): Promise<Response> {
  const request = c.req.raw;
  try {
    const query = discovery && (await readQuery(request));
    const reply = query && (await discovery.exchange(query, connectionOf(c.env, request).remoteAddress));
    if (!reply) return toResponse(noSuchPath(c));
    return toResponse({ contentType: 'application/octet-stream', body: new Uint8Array(reply) });
  } catch (error) {
    return toResponse(refuse(error, c, log));
  }
}

const methods = new Set(['GET', 'POST', 'DELETE']);

async function answer(c: Context, { dispatcher, closing, log }: AppOptions): Promise<Response> {
  const request = c.req.raw;
  if (!methods.has(request.method)) return toResponse(methodNotAllowed(request.method));
  try {
    const connection = connectionOf(c.env, request);
    const read = readParameters(request, connection);
    const { params, key } = read instanceof Promise ? await read : read;
    const call = new RequestCall(params, request, connection, closing);
    const { module = '', method = '' } = c.req.param();
    const reply = dispatcher.dispatch(module, method, key, call);
    const framed = takesFrames(request.headers.get('accept'));
    return toResponse(
      await (framed ? inFrames(reply, (error) => explain(error, c, log)) : reply),
      connection,
    );
  } catch (error) {
    return toResponse(refuse(error, c, log));
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
}

function methodNotAllowed(method: string): Reply {
  const error = new BrokerError(
    'invalid_request',
    `Method ${method} is not taken: expected POST, GET or DELETE`,
  );
  return { ...failure(error), status: 405 };
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

const JSON_TYPE = 'application/json';
// Most answers: made once, for all of them.
const plainJson: ResponseInit = { status: 200, headers: { 'content-type': JSON_TYPE } };

function toResponse(
  { status = 200, contentType = JSON_TYPE, body }: Reply,
  connection?: ConnectionInfo,
): Response {
  const isWhole = typeof body === 'string' || body instanceof Uint8Array;
  if (isWhole && status === 200 && contentType === JSON_TYPE) return new Response(body, plainJson);
  const headers: Record<string, string> = { 'content-type': contentType };
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  if (isWhole) return new Response(body, { status, headers });
  headers['cache-control'] = 'no-store';
  // Tells reverse proxies to hand events on as they come.
  headers['x-accel-buffering'] = 'no';
  return new Response(streamOf(body, connection), { status, headers });
}

function streamOf(
  parts: AsyncIterable<string | Uint8Array>,
  connection: ConnectionInfo | undefined,
): ReadableStream<Uint8Array> {
  const iterator = parts[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await iterator.next();
        if (done) controller.close();
        else controller.enqueue(typeof value === 'string' ? encoder.encode(value) : value);
      } catch (error) {
        await connection?.cutOff();
        throw error;
      }
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
