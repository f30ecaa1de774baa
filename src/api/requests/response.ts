import type { Reply } from '../../modules/module.ts';
import { type Logger, silentLogger } from '../../protocol/logger.ts';
import { abandon, logFailure } from './abandon.ts';
import { JSON_TYPE } from '../../protocol/messages/extension-frames.ts';
import { type ConnectionInfo, UNREAD_TIMEOUT_MS } from '../../protocol/connection.ts';

/**
 * Headers of every answer, in case a browser shows it. They fix its type, forbid caches and frames, and let
 * it run nothing.
 */
const guards = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
};
/** Content type of Server-Sent Events. */
export const EVENT_STREAM = 'text/event-stream';

/** Whether an answer's body is whole, and not in parts over time. */
export function isWhole({ body }: Reply): boolean {
  return typeof body === 'string' || body instanceof Uint8Array;
}

/** An answer in parts over time. */
export type ReplyInParts = Reply & { readonly body: AsyncIterable<string | Uint8Array> };

/**
 * Whether an answer is sent in parts over time. An answer with a status without a body is not, whatever its
 * module returned. Neither is a value that is no answer, as a module in your own process may return it; its
 * caller gets an error elsewhere.
 */
export function comesInParts(reply: Reply): reply is ReplyInParts {
  const { status = 200, body } = reply ?? {};
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body && !bodiless.has(status);
}

/** The parts that an answer in parts needs besides. */
export interface Delivery {
  /** The connection that carries it. */
  readonly connection: Pick<ConnectionInfo, 'drop'>;
  /** Called when it has ended in any way. */
  onEnd(): void;
}

/** Makes an HTTP response of an answer. */
export type Responder = (reply: Reply, delivery?: Delivery) => Response;

/** Returns headers in the form that costs a runtime the least when many responses share them. */
export type ShareHeaders = (headers: Readonly<Record<string, string>>) => Record<string, string> | Headers;

/** @param log gets the error of a module whose answer is ended unread; default: not logged. */
export function createResponder(
  shareHeaders: ShareHeaders = (headers) => ({ ...headers }),
  log: Logger = silentLogger,
): Responder {
  // Most answers share this one.
  const plainJson = { status: 200, headers: shareHeaders({ 'content-type': JSON_TYPE, ...guards }) };
  return (reply, delivery) => toResponse(reply, plainJson, delivery, log);
}

function toResponse(
  reply: Reply,
  plainJson: ResponseInit,
  delivery: Delivery | undefined,
  log: Logger,
): Response {
  const { status = 200, contentType = JSON_TYPE, body } = reply;
  const whole = typeof body === 'string' || body instanceof Uint8Array;
  if (whole && status === 200 && contentType === JSON_TYPE && !reply.headers)
    return new Response(body, plainJson);
  const headers: Record<string, string> = { 'content-type': contentType, ...guards, ...reply.headers };
  if (status === 401) headers['www-authenticate'] = 'Bearer';
  if (bodiless.has(status)) {
    abandon(reply, log);
    delivery?.onEnd();
    const { 'content-type': _none, ...others } = headers;
    return new Response(null, { status, headers: others });
  }
  if (whole) return new Response(body, { status, headers });
  // Tells reverse proxies to pass events on at once.
  headers['x-accel-buffering'] = 'no';
  const stream = streamOf(body, delivery, log);
  try {
    return new Response(stream, { status, headers });
  } catch (error) {
    // HTTP cannot carry it: the answer ends unread, and its place among the streams is free.
    logFailure(stream.cancel(error), log);
    throw error;
  }
}

/** Statuses whose answers have no body (RFC 9110), whatever a module returns. */
const bodiless: ReadonlySet<number> = new Set([204, 205, 304]);

/**
 * The most bytes of a part that are passed on at a time: the server and the connection copy the bytes that
 * they hold.
 */
const SLICE = 16 * 1024;

function streamOf(
  parts: AsyncIterable<string | Uint8Array>,
  delivery: Delivery | undefined,
  log: Logger,
): ReadableStream<Uint8Array> {
  const iterator = parts[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let rest: Uint8Array = new Uint8Array();
  let unread: NodeJS.Timeout | undefined;

  function send(controller: ReadableStreamDefaultController<Uint8Array>): void {
    controller.enqueue(rest.subarray(0, SLICE));
    rest = rest.subarray(SLICE);
    // A server asks for more once its client has read some. Where the server has a limit of its own too, the
    // first limit ends it.
    clearTimeout(unread);
    unread = setTimeout(() => {
      if (!delivery?.connection.drop()) giveUp(controller);
    }, UNREAD_TIMEOUT_MS);
  }

  /** A stream that has failed is never cancelled, so its parts are ended here. */
  function giveUp(controller: ReadableStreamDefaultController<Uint8Array>): void {
    controller.error(new Error('The client does not read the answer'));
    delivery?.onEnd();
    logFailure(end(), log);
  }

  async function end(): Promise<void> {
    await iterator.return?.();
  }

  return new ReadableStream({
    async pull(controller) {
      clearTimeout(unread);
      try {
        while (rest.length === 0) {
          const { done, value } = await iterator.next();
          if (done) {
            delivery?.onEnd();
            controller.close();
            return;
          }
          rest = typeof value === 'string' ? encoder.encode(value) : value;
        }
        send(controller);
      } catch (error) {
        delivery?.onEnd();
        // Bun ends an answer whose stream fails as if it were whole. Once the connection is closed, the
        // stream is cancelled, and this wait ends with it.
        if (delivery?.connection.drop()) await new Promise<never>(() => undefined);
        throw error;
      }
    },
    cancel() {
      clearTimeout(unread);
      delivery?.onEnd();
      return end();
    },
  });
}
