import { failure, jsonReply, type Reply } from '../../modules/module.ts';
import type { ConnectionInfo } from '../../protocol/connection.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import type { Audit } from '../audit/audit.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { RequestMeter, Route } from '../metrics/request-meter.ts';
import { abandon } from './abandon.ts';
import { inFrames, takesFrames } from './output-frames.ts';
import { type CallContext, RequestCall } from './request-call.ts';
import { type Parameters, readParameters } from './request-parameters.ts';
import { requestIdOf, withRequestId } from './request-id.ts';
import { EVENT_STREAM, isWhole, type Responder } from './response.ts';
import type { OpenStream, StreamLimit } from './stream-limit.ts';

/** The parts that the answer to a call needs besides the request. */
export interface HandlerOptions extends CallContext {
  readonly dispatcher: Dispatcher;
  readonly audit: Audit;
  readonly streams: StreamLimit;
  readonly toResponse: Responder;
  /** Counts requests and their times. */
  readonly requests: RequestMeter;
}

/**
 * Answers a request that calls a method of a module. It returns no promise when there is nothing to wait for,
 * which saves the server a turn.
 */
export type RequestHandler = (
  request: Request,
  connection: ConnectionInfo,
  module: string,
  method: string,
) => Response | Promise<Response>;

/** The answer that nobody reads any more. */
const callerGone: Reply = jsonReply({}, 499);

/** The HTTP methods that can call a method of a module. */
const methods = new Set(['GET', 'POST', 'DELETE']);

export function createRequestHandler(options: HandlerOptions): RequestHandler {
  const { dispatcher, streams, requests, log, toResponse, audit } = options;

  /** The answer to a request that did not become a call. */
  function refused(reply: Reply, module: string, method: string, since: number): Response {
    requests.answered(requests.routeOf(module, method), reply.status ?? 200, since, false);
    return toResponse(reply);
  }

  /** As {@link refused}, for a request that could not be read. */
  async function unread(
    error: unknown,
    request: Request,
    connection: ConnectionInfo,
    module: string,
    method: string,
    since: number,
  ): Promise<Response> {
    if (audit.isOn) {
      const asked = { source: connection.remoteAddress, request: requestIdOf(request), module, method };
      await audit.refused(asked, error);
    }
    return refused(refuse(error, request, log), module, method, since);
  }

  /** The response to a call with a whole answer. */
  function answered(reply: Reply, call: RequestCall, route: Route): Response {
    // This comes first: it throws for an answer that cannot be sent, and the response is another one then.
    const response = toResponse(call.named(reply));
    requests.answered(route, reply.status ?? 200, call.since, call.isHeld);
    call.answered();
    return response;
  }

  function dispatch(
    parameters: Parameters,
    request: Request,
    connection: ConnectionInfo,
    module: string,
    method: string,
    since: number,
  ): Response | Promise<Response> {
    const { key } = parameters;
    const route = requests.routeOf(module, method);
    const call = new RequestCall(parameters, request, connection, module, method, options, since);
    try {
      const reply = dispatcher.dispatch(module, method, key, call);
      if (!(reply instanceof Promise) && isWhole(reply)) return answered(reply, call, route);
      return answerLater(reply, key, request, connection, module, call, route);
    } catch (error) {
      return answered(refuse(error, request, log), call, route);
    }
  }

  async function answerLater(
    dispatched: Promise<Reply> | Reply,
    key: Parameters['key'],
    request: Request,
    connection: ConnectionInfo,
    module: string,
    call: RequestCall,
    route: Route,
  ): Promise<Response> {
    try {
      const wantsFrames = takesFrames(request.headers.get('accept'));
      const reply = await (wantsFrames
        ? inFrames(dispatched, (error) => explain(error, request, log))
        : dispatched);
      if (isWhole(reply)) return answered(reply, call, route);
      if (request.signal.aborted) {
        // Bun neither reads nor cancels the response of a request whose caller has gone.
        abandon(reply, log);
        return answered(callerGone, call, route);
      }
      let leave: (() => void) | undefined;
      if (reply.contentType === EVENT_STREAM) {
        if (connection.buffered) throw cannotStream(reply, log);
        const place = {
          holder: dispatcher.holderOf(module, key, call),
          isAllowed: () => dispatcher.opens(module, key),
          end: () => call.revoke(noLongerAllowed(module)),
        };
        // A reload may have come since the key was checked.
        if (!place.isAllowed()) {
          abandon(reply, log);
          throw noLongerAllowed(module);
        }
        leave = placeFor(reply, streams, place, log);
      }
      const onEnd = (): void => {
        leave?.();
        call.answered();
      };
      const response = toResponse(call.named(reply), { connection, onEnd });
      requests.answered(route, reply.status ?? 200, call.since, true);
      return response;
    } catch (error) {
      return answered(refuse(error, request, log), call, route);
    }
  }

  return (request, connection, module, method) => {
    const since = performance.now();
    if (!methods.has(request.method)) return refused(methodNotAllowed(request), module, method, since);
    try {
      const read = readParameters(request, connection);
      if (!(read instanceof Promise)) return dispatch(read, request, connection, module, method, since);
      return read.then(
        (parameters) => dispatch(parameters, request, connection, module, method, since),
        (error: unknown) => unread(error, request, connection, module, method, since),
      );
    } catch (error) {
      return unread(error, request, connection, module, method, since);
    }
  };
}

/** Takes a place for the stream of events of `reply`; without a free place, the stream is ended unread. */
function placeFor(
  reply: Reply,
  streams: StreamLimit,
  stream: OpenStream & { readonly holder: string | undefined },
  log: Logger,
): () => void {
  try {
    return streams.open(stream.holder, stream);
  } catch (error) {
    abandon(reply, log);
    throw error;
  }
}

function noLongerAllowed(module: string): BrokerError {
  return new BrokerError('access_denied', `The access key of this stream no longer opens module '${module}'`);
}

function cannotStream(reply: Reply, log: Logger): BrokerError {
  abandon(reply, log);
  return new BrokerError(
    'invalid_request',
    "This server sends an answer only once it is whole, and so cannot watch: use 'Get' or 'List' with 'wait'",
  );
}

function methodNotAllowed(request: Request): Reply {
  const error = new BrokerError(
    'invalid_request',
    `Method ${request.method} is not accepted: expected POST, GET or DELETE`,
  );
  const reply = { ...failure(error), status: 405, headers: { allow: [...methods].join(', ') } };
  return withRequestId(reply, request);
}

/** The response to a failed request, with the id that its lines of the log have. */
export function refuse(error: unknown, request: Request, log: Logger): Reply {
  if (!(error instanceof BrokerError) && request.signal.aborted) return callerGone;
  return withRequestId(failure(explain(error, request, log)), request);
}

/** Callers see only the messages of BrokerErrors; any other error is for the operator. */
function explain(error: unknown, request: Request, log: Logger): BrokerError {
  const about = { request: requestIdOf(request), path: pathOf(request) };
  if (error instanceof BrokerError) {
    // The message is left out, since it may contain the caller's data.
    log.debug('request refused', { ...about, code: error.code });
    return error;
  }
  log.error('request failed', {
    ...about,
    error: error instanceof Error ? (error.stack ?? '') : messageOf(error),
  });
  return new BrokerError(
    'internal',
    `The broker failed to answer; its log says why, in the line with request=${about.request}`,
  );
}

/** The longest path in a line of the log, since any client can choose it. */
const PATH_LENGTH = 200;

/** Without the query, which is never logged. */
function pathOf({ url }: Request): string {
  const from = url.indexOf('/', url.indexOf('://') + 3);
  return (url.slice(from, from + PATH_LENGTH).split('?', 1)[0] ?? '').split('#', 1)[0] ?? '';
}
