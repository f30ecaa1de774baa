import { withKeepAlive } from '../../modules/keep-alive.ts';
import { resolveWithin } from '../../protocol/timeout.ts';
import type { Reply } from '../../modules/module.ts';
import type { BrokerError } from '../../protocol/errors.ts';
import { toJson } from '../../protocol/formats/json.ts';
import { JSON_TYPE, type Part } from '../../protocol/messages/extension-frames.ts';
import { FRAMES_TYPE, HEARTBEAT_MS, type OutputFrame } from '../../protocol/messages/output-frames.ts';
import { EVENT_STREAM, isWhole } from './response.ts';

/**
 * How long an answer may take to begin before its frames begin, in milliseconds. A refusal until then has its
 * own status.
 */
const PATIENCE_MS = 5000;

/** Whether a client asks for frames where an answer comes over time. */
export function takesFrames(accept: string | null): boolean {
  return accept !== null && accept.includes(FRAMES_TYPE);
}

/**
 * An answer in frames (`protocol/output-frames.ts`). An answer that is whole and soon stays unchanged, and so
 * does a stream of events.
 * @param explain makes the error for the caller from any thrown value.
 * @throws what `reply` throws until the frames begin.
 */
export async function inFrames(
  reply: Promise<Reply> | Reply,
  explain: (error: unknown) => BrokerError,
): Promise<Reply> {
  const begun = await resolveWithin(PATIENCE_MS, Promise.resolve(reply));
  if (begun && (isWhole(begun) || begun.contentType === EVENT_STREAM)) return begun;
  return { contentType: FRAMES_TYPE, body: { [Symbol.asyncIterator]: () => linesOf(reply, explain) } };
}

/**
 * This is not a generator: the `return()` of one waits for its next value, or does nothing before its first.
 */
function linesOf(
  reply: Promise<Reply> | Reply,
  explain: (error: unknown) => BrokerError,
): AsyncIterator<string> {
  let gone = false;
  const frames = withKeepAlive(
    framesOf(reply, explain, () => gone),
    HEARTBEAT_MS,
  );
  return {
    async next() {
      const { done, value } = await frames.next();
      if (done) return { done: true, value: undefined };
      return { done: false, value: value === undefined ? '\n' : `${toJson(value)}\n` };
    },
    async return() {
      gone = true;
      void abandon(reply);
      void frames.return(undefined).catch(() => undefined);
      return { done: true, value: undefined };
    },
  };
}

/** Ends an answer without a reader, even before it has begun. */
async function abandon(reply: Promise<Reply> | Reply): Promise<void> {
  try {
    const { body } = await reply;
    if (typeof body === 'string' || body instanceof Uint8Array) return;
    await body[Symbol.asyncIterator]().return?.();
  } catch {
    // It failed, and no reader is left to get the error.
  }
}

async function* framesOf(
  reply: Promise<Reply> | Reply,
  explain: (error: unknown) => BrokerError,
  isGone: () => boolean,
): AsyncGenerator<OutputFrame> {
  try {
    const { status = 200, contentType = JSON_TYPE, body } = await reply;
    yield { head: { status, contentType } };
    if (typeof body === 'string' || body instanceof Uint8Array) {
      yield partOf(body);
    } else {
      for await (const part of body) yield partOf(part);
    }
    yield { end: true };
  } catch (error) {
    if (isGone()) return;
    const { code, message, status } = explain(error);
    yield { error: { code, message, status } };
  }
}

function partOf(body: string | Uint8Array): Part {
  return typeof body === 'string' ? { text: body } : { base64: Buffer.from(body).toString('base64') };
}
