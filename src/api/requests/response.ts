import type { Reply } from '../../modules/module.ts';
import { type Logger, silentLogger } from '../../protocol/logger.ts';
import { abandon, sayFailure } from './abandon.ts';
import { JSON_TYPE } from '../../protocol/messages/extension.ts';
import { type ConnectionInfo, UNREAD_TIMEOUT_MS } from '../../protocol/connection.ts';

/** With every answer, should a browser show it: it is of one type, kept nowhere, framed by nobody, and runs nothing. */
const guards = {
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-frame-options': 'DENY',
};
/** Content type of Server-Sent Events. */
export const EVENT_STREAM = 'text/event-stream';

/** Whether an answer's body is there whole, and does not come in parts over time. */
export function isWhole({ body }: Reply): boolean {
  return typeof body === 'string' || body instanceof Uint8Array;
}

/** An answer whose parts come over time. */
export type ReplyInParts = Reply & { readonly body: AsyncIterable<string | Uint8Array> };

/**
 * Whether an answer is sent in parts over time. One whose status goes without a body is not, whatever its module gives; nor is what is no
 * answer at all, as a module in your own process may give it: its caller learns that elsewhere.
 */
export function comesInParts(reply: Reply): reply is ReplyInParts {
  const { status = 200, body } = reply ?? {};
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body && !bodiless.has(status);
}

/** What an answer that comes in parts needs besides. */
export interface Parting {
  /** The connection that it goes out on. */
  readonly connection: Pick<ConnectionInfo, 'drop'>;
  /** Told when it has ended, in whatever way. */
  onEnd(): void;
}

/** Makes responses of HTTP of answers. */
export type Responder = (reply: Reply, parting?: Parting) => Response;

/** Headers in the form in which responses that share them cost a runtime the least. */
export type ShareHeaders = (headers: Readonly<Record<string, string>>) => Record<string, string> | Headers;

/** @param log gets what a module fails with as its answer is ended unread; default: nobody does. */
export function createResponder(
  shareHeaders: ShareHeaders = (headers) => ({ ...headers }),
  log: Logger = silentLogger,
): Responder {
  // Most answers: made once, for all of them.
  const plainJson = { status: 200, headers: shareHeaders({ 'content-type': JSON_TYPE, ...guards }) };
  return (reply, parting) => toResponse(reply, plainJson, parting, log);
}

function toResponse(
  reply: Reply,
  plainJson: ResponseInit,
  parting: Parting | undefined,
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
    parting?.onEnd();
    const { 'content-type': _none, ...others } = headers;
    return new Response(null, { status, headers: others });
  }
  if (whole) return new Response(body, { status, headers });
  // Tells reverse proxies to hand events on as they come.
  headers['x-accel-buffering'] = 'no';
  const stream = streamOf(body, parting);
  try {
    return new Response(stream, { status, headers });
  } catch (error) {
    // What HTTP cannot carry: the answer ends unread, and its place among the streams is free.
    sayFailure(stream.cancel(error), log);
    throw error;
  }
}

/** Statuses whose answers have no body (RFC 9110), whatever a module gives with them. */
const bodiless: ReadonlySet<number> = new Set([204, 205, 304]);

/** Bytes of a part that are handed on at a time: the server and the connection make copies of what they hold. */
const SLICE = 16 * 1024;

function streamOf(
  parts: AsyncIterable<string | Uint8Array>,
  parting: Parting | undefined,
): ReadableStream<Uint8Array> {
  const iterator = parts[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let rest: Uint8Array = new Uint8Array();
  let unread: NodeJS.Timeout | undefined;

  function send(controller: ReadableStreamDefaultController<Uint8Array>): void {
    controller.enqueue(rest.subarray(0, SLICE));
    rest = rest.subarray(SLICE);
    // A server asks for more once its client has taken some. Where it says so by its own limits too, the first one ends it.
    clearTimeout(unread);
    unread = setTimeout(() => {
      if (!parting?.connection.drop()) controller.error(new Error('The answer is not read'));
    }, UNREAD_TIMEOUT_MS);
  }

  return new ReadableStream({
    async pull(controller) {
      clearTimeout(unread);
      try {
        while (rest.length === 0) {
          const { done, value } = await iterator.next();
          if (done) {
            parting?.onEnd();
            controller.close();
            return;
          }
          rest = typeof value === 'string' ? encoder.encode(value) : value;
        }
        send(controller);
      } catch (error) {
        parting?.onEnd();
        // Bun ends an answer whose stream fails as if it were whole. Where the connection is broken off, the stream is
        // cancelled, and this wait ends with it.
        if (parting?.connection.drop()) await new Promise<never>(() => undefined);
        throw error;
      }
    },
    async cancel() {
      clearTimeout(unread);
      parting?.onEnd();
      await iterator.return?.();
    },
  });
}
