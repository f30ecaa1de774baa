import { failure, jsonReply, type Reply } from '../../modules/module.ts';
import type { ConnectionInfo } from '../../protocol/connection.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import type { Audit } from '../audit/audit.ts';
import type { Dispatcher } from './dispatcher.ts';
import type { RequestMeter, Route } from '../metrics/requests.ts';
import { abandon } from './abandon.ts';
import { inFrames, takesFrames } from './output-frames.ts';
import { type CallContext, RequestCall } from './request-call.ts';
import { type Parameters, readParameters } from './request.ts';
import { requestIdOf, withRequestId } from './request-id.ts';
import { EVENT_STREAM, isWhole, type Responder } from './response.ts';
import type { StreamLimit } from './streams.ts';

/** What the answer to a call needs besides the request. */
export interface AnswerOptions extends CallContext {
  readonly dispatcher: Dispatcher;
  readonly audit: Audit;
  readonly streams: StreamLimit;
  readonly toResponse: Responder;
  /** Counts requests and their times. */
  readonly requests: RequestMeter;
}

/**
 * Answers a request that calls a method of a module. It gives no promise where nothing is to be waited for, which spares the server
 * a turn.
 */
export type Answer = (
  request: Request,
  connection: ConnectionInfo,
  module: string,
  method: string,
) => Response | Promise<Response>;

/** Methods of HTTP by which a method of a module may be called. */
const methods = new Set(['GET', 'POST', 'DELETE']);

export function createAnswer(options: AnswerOptions): Answer {
  const { dispatcher, streams, requests, log, toResponse, audit } = options;

  /** What a request is answered that has not become a call. */
  function refused(reply: Reply, module: string, method: string, since: number): Response {
    requests.answered(requests.routeOf(module, method), reply.status ?? 200, since, false);
    return toResponse(reply);
  }

  /** As {@link refused}, for what was to be read of the request. */
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

  /** What a call is answered, once it is there as a whole. */
  function answered(reply: Reply, call: RequestCall, route: Route): Response {
    // First, since it throws for what cannot be sent, and something else is answered then.
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
      const framed = takesFrames(request.headers.get('accept'));
      const reply = await (framed
        ? inFrames(dispatched, (error) => explain(error, request, log))
        : dispatched);
      if (isWhole(reply)) return answered(reply, call, route);
      let leave: (() => void) | undefined;
      if (reply.contentType === EVENT_STREAM) {
        if (connection.buffered) throw cannotStream(reply, log);
        leave = placeFor(reply, streams, dispatcher.holderOf(module, key, call), log);
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

/** A place for the stream of events that `reply` is about to become; one that there is no place for is ended unread. */
function placeFor(reply: Reply, streams: StreamLimit, holder: string | undefined, log: Logger): () => void {
  try {
    return streams.open(holder);
  } catch (error) {
    abandon(reply, log);
    throw error;
  }
}

function cannotStream(reply: Reply, log: Logger): BrokerError {
  abandon(reply, log);
  return new BrokerError(
    'invalid_request',
    "This server sends an answer only once it is whole, and so cannot watch: ask 'Get' or 'List' with 'wait'",
  );
}

function methodNotAllowed(request: Request): Reply {
  const error = new BrokerError(
    'invalid_request',
    `Method ${request.method} is not taken: expected POST, GET or DELETE`,
  );
  const reply = { ...failure(error), status: 405, headers: { allow: [...methods].join(', ') } };
  return withRequestId(reply, request);
}

/** What a failed request answers, with the id that its lines of the log have. */
export function refuse(error: unknown, request: Request, log: Logger): Reply {
  if (!(error instanceof BrokerError) && request.signal.aborted) return jsonReply({}, 499);
  return withRequestId(failure(explain(error, request, log)), request);
}

/** Only a BrokerError's words are for the caller; anything else is ours to look into. */
function explain(error: unknown, request: Request, log: Logger): BrokerError {
  const about = { request: requestIdOf(request), path: pathOf(request) };
  if (error instanceof BrokerError) {
    // Not its words, in which there may be what was sent.
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

/** Longest path in a line of the log: strangers choose it. */
const PATH_LENGTH = 200;

/** Without the query, which is never logged. */
function pathOf({ url }: Request): string {
  const from = url.indexOf('/', url.indexOf('://') + 3);
  return (url.slice(from, from + PATH_LENGTH).split('?', 1)[0] ?? '').split('#', 1)[0] ?? '';
}
