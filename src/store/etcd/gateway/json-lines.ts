/**
 * The longest line that is read: etcd splits messages above 1.5 MiB, except for one value, and base64 adds a
 * third.
 */
const MAX_LINE = 16 * 1024 * 1024;

/**
 * Yields the JSON values of a stream, one to a line, until `signal` is aborted.
 * @throws SyntaxError for a malformed line; Error for one above 16 Mi characters.
 */
export async function* jsonLines<T>(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<T, void, undefined> {
  const decoder = new TextDecoder();
  const reader = body.getReader();
  // A broken stream cannot be cancelled, and need not be.
  const cancel = (): Promise<void> => reader.cancel().catch(() => undefined);
  // An aborted request ends its body as well, but not on every runtime, and not always.
  const end = (): void => void cancel();
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  /** The pieces of the incomplete line: a long one comes in very many. */
  let pieces: string[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      let text = decoder.decode(value, { stream: true });
      for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n')) {
        const line = pieces.join('') + text.slice(0, at);
        pieces = [];
        length = 0;
        text = text.slice(at + 1);
        if (line !== '') yield JSON.parse(line) as T;
      }
      length += text.length;
      if (length > MAX_LINE) throw new Error(`a line of the stream is longer than ${MAX_LINE} characters`);
      pieces.push(text);
    }
  } finally {
    signal.removeEventListener('abort', end);
    await cancel();
  }
}
