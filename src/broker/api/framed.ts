import { heartbeats, within } from '../../modules/heartbeats.ts';
import type { Reply } from '../../modules/module.ts';
import type { BrokerError } from '../../protocol/errors.ts';
import { JSON_TYPE, type Part } from '../../protocol/extension.ts';
import { FRAMES_TYPE, HEARTBEAT_MS, type OutputFrame } from '../../protocol/output-frames.ts';

/** How long an answer may take to begin before its frames do: a refusal until then has the status of its own. */
const PATIENCE_MS = 5000;

/** Whether a client asks for frames where an answer comes over time. */
export function takesFrames(accept: string | null): boolean {
  return accept !== null && accept.includes(FRAMES_TYPE);
}

/**
 * An answer in frames (`protocol/output-frames.ts`), unless it is there whole and soon. Throws as `reply` does until then.
 * @param explain makes an error for the caller of whatever was thrown.
 */
export async function inFrames(
  reply: Promise<Reply> | Reply,
  explain: (error: unknown) => BrokerError,
): Promise<Reply> {
  const begun = await within(PATIENCE_MS, Promise.resolve(reply));
  if (begun && (typeof begun.body === 'string' || begun.body instanceof Uint8Array)) return begun;
  return { contentType: FRAMES_TYPE, body: linesOf(framesOf(reply, explain)) };
}

async function* linesOf(frames: AsyncIterable<OutputFrame>): AsyncGenerator<string> {
  for await (const frame of heartbeats(frames, HEARTBEAT_MS)) {
    yield frame === undefined ? '\n' : `${JSON.stringify(frame)}\n`;
  }
}

async function* framesOf(
  reply: Promise<Reply> | Reply,
  explain: (error: unknown) => BrokerError,
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
    const { code, message, status } = explain(error);
    yield { error: { code, message, status } };
  }
}

function partOf(body: string | Uint8Array): Part {
  return typeof body === 'string' ? { text: body } : { base64: Buffer.from(body).toString('base64') };
}
