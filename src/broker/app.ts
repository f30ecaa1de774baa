import { type Context, Hono } from 'hono';
import { type Call, failure, jsonReply, type Reply } from '../modules/module.ts';
import { BrokerError, messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/logger.ts';
import { VERSION } from '../protocol/version.ts';
import { connectionOf } from '../runtime/connection.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { Readiness } from './health.ts';
import { readParameters } from './request.ts';

export interface AppOptions {
  readonly dispatcher: Dispatcher;
  readonly log: Logger;
  readonly readiness: () => Readiness;
  /** Aborted when the broker stops, so that long polls and event streams end. */
  readonly closing: AbortSignal;
}

/** The HTTPS API as a Hono app, to serve or to mount in another one (contract, section 5). */
export function createApp(options: AppOptions): Hono {
  const app = new Hono({ strict: false });
  app.get('/', (c) => c.text(`bpbroker ${VERSION}\n`));
  app.get('/healthz', (c) => c.json({ status: 'ok' }));
  app.get('/readyz', (c) => {
    const readiness = options.readiness();
    return c.json(readiness, readiness.ready ? 200 : 503);
  });
  app.on(['GET', 'POST', 'DELETE'], '/:module/:method', (c) => answer(c, options));
  app.all('/:module/:method', (c) => {
    const error = new BrokerError(
      'invalid_request',
      `Method ${c.req.method} is not taken: expected POST, GET or DELETE`,
    );
    return toResponse({ ...failure(error), status: 405 });
  });
  app.notFound((c) => toResponse(failure(new BrokerError('not_found', `No such path: ${c.req.path}`))));
  app.onError((error, c) => toResponse(refuse(error, c, options.log)));
  return app;
}

async function answer(c: Context, { dispatcher, closing, log }: AppOptions): Promise<Response> {
  try {
    const request = c.req.raw;
    const { params, key } = await readParameters(request);
    const call = callOf(c, request, params, closing);
    return toResponse(
      await dispatcher.dispatch(c.req.param('module') ?? '', c.req.param('method') ?? '', key, call),
    );
  } catch (error) {
    return toResponse(refuse(error, c, log));
  }
}

function callOf(c: Context, request: Request, params: Record<string, unknown>, closing: AbortSignal): Call {
  // Both cost something to make, and most calls never ask for them.
  let signal: AbortSignal | undefined;
  const connection = connectionOf(c.env, request);
  return {
    params,
    get clientAddress(): string {
      return connection.remoteAddress;
    },
    get signal(): AbortSignal {
      signal ??= AbortSignal.any([request.signal, closing]);
      return signal;
    },
    header: (name) => request.headers.get(name) ?? undefined,
    keepOpen: () => connection.keepOpen(),
  };
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

function toResponse({ status = 200, contentType = 'application/json', body }: Reply): Response {
  const headers: Record<string, string> = { 'content-type': contentType };
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  if (typeof body === 'string' || body instanceof Uint8Array) return new Response(body, { status, headers });
  headers['cache-control'] = 'no-store';
  // Tells reverse proxies to hand events on as they come.
  headers['x-accel-buffering'] = 'no';
  return new Response(streamOf(body), { status, headers });
}

function streamOf(parts: AsyncIterable<string | Uint8Array>): ReadableStream<Uint8Array> {
  const iterator = parts[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(typeof value === 'string' ? encoder.encode(value) : value);
    },
    async cancel() {
      await iterator.return?.();
    },
  });
}
