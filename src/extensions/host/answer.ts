import { escapeControls } from '../../protocol/errors.ts';
import {
  BYTES_TYPE,
  type FromHost,
  type Head,
  JSON_TYPE,
  type Part,
  PART_BYTES,
  TEXT_TYPE,
} from '../../protocol/messages/extension-frames.ts';

type Send = (frame: FromHost) => Promise<void>;
type Parts = AsyncIterable<unknown> | Iterable<unknown>;

interface Sending {
  readonly send: Send;
  readonly id: number;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
}

/**
 * Sends the value that a method has returned (see `ExtensionAnswer`).
 * @throws Error where it cannot be sent.
 */
export async function sendAnswer(send: Send, id: number, value: unknown, signal: AbortSignal): Promise<void> {
  const stream = (head: Head, parts: Parts): Promise<void> => sendStream({ send, id, signal }, head, parts);
  if (value instanceof Response) {
    const contentType = value.headers.get('content-type') ?? BYTES_TYPE;
    return stream({ status: value.status, contentType }, value.body ?? []);
  }
  if (isIterator(value)) return stream({ status: 200, contentType: TEXT_TYPE }, value);
  const { contentType, body } = whole(value);
  const head = { status: 200, contentType };
  if (body.length > PART_BYTES) return stream(head, [body]);
  await send({ type: 'reply', id, ...head, ...partOf(body) });
}

function whole(value: unknown): { contentType: string; body: string | Uint8Array } {
  if (value === undefined) return { contentType: TEXT_TYPE, body: '' };
  if (typeof value === 'string') return { contentType: TEXT_TYPE, body: value };
  if (value instanceof ArrayBuffer) return { contentType: BYTES_TYPE, body: new Uint8Array(value) };
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    return { contentType: BYTES_TYPE, body: new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength) };
  }
  const json = JSON.stringify(value) as string | undefined;
  if (json === undefined) throw new TypeError(`The method returned a ${typeof value}, which cannot be sent`);
  return { contentType: JSON_TYPE, body: escapeControls(json) };
}

/** Whether a value is an async generator, a stream, or a generator; arrays and other collections are JSON. */
function isIterator(value: unknown): value is AsyncIterable<unknown> | Iterable<unknown> {
  if (typeof value !== 'object' || value === null) return false;
  if (Symbol.asyncIterator in value) return true;
  return Symbol.iterator in value && typeof (value as { next?: unknown }).next === 'function';
}

async function sendStream({ send, id, signal }: Sending, head: Head, parts: Parts): Promise<void> {
  await send({ type: 'start', id, ...head });
  for await (const part of parts) {
    // As with a pipe whose reader has gone, the maker of the parts ends here.
    signal.throwIfAborted();
    if (typeof part !== 'string' && !(part instanceof Uint8Array)) {
      throw new TypeError(`A part of the answer is neither text nor bytes, but a ${typeof part}`);
    }
    // Long text is split as bytes, since a split of text could be within a character.
    const long = typeof part === 'string' && part.length > PART_BYTES ? Buffer.from(part) : part;
    for (let at = 0; at < long.length; at += PART_BYTES) {
      await send({ type: 'part', id, ...partOf(long.slice(at, at + PART_BYTES)) });
    }
  }
  await send({ type: 'end', id });
}

function partOf(body: string | Uint8Array): Part {
  // Half of a surrogate pair, at the end of a part, cannot be sent as text.
  if (typeof body === 'string' && body.isWellFormed()) return { text: body };
  return { base64: Buffer.from(body as Uint8Array).toString('base64') };
}
