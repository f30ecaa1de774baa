/** The text of a file, read piece by piece. Only the text that has not been taken yet is in memory. */
export interface TextSource {
  /** The text that has been read and not released. */
  readonly text: string;
  /** Whether everything has been read. */
  readonly ended: boolean;
  /** Releases the text before `from` and reads on. */
  more(from: number): Promise<void>;
  /** Waits for a read in progress; the file must not be closed before. */
  settle(): Promise<void>;
  /** Line and column, from 1, of a place in `text`; columns count UTF-16 units. */
  placeOf(at: number): { line: number; column: number };
}

export interface TextSourceOptions {
  /** Fills `buffer` from its start and returns the number of bytes read, 0 at the end. */
  readonly read: (buffer: Uint8Array) => Promise<number>;
  /** Called with all bytes, in order; they are valid only during the call. */
  readonly onBytes?: ((bytes: Uint8Array) => void) | undefined;
  /** The size of the first reads in bytes; default: 256 KiB. */
  readonly chunkBytes?: number | undefined;
  /** The error for text that is not UTF-8. */
  readonly notUtf8: (cause: unknown) => Error;
}

const CHUNK_BYTES = 256 * 1024;
const MAX_CHUNK_BYTES = 16 * 1024 * 1024;
/** The bytes of an unfinished character. */
const MAX_HELD_BYTES = 3;
const BOM = '\uFEFF';

export function createTextSource(options: TextSourceOptions): TextSource {
  const { read, onBytes, chunkBytes = CHUNK_BYTES, notUtf8 } = options;
  // Each piece is decoded separately, which is several times faster than streaming: pieces end between
  // characters.
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  let buffer = new Uint8Array(chunkBytes + MAX_HELD_BYTES);
  /** The next piece is read into the other buffer while this one's text is in use. */
  let other = new Uint8Array(chunkBytes + MAX_HELD_BYTES);
  let reading: Promise<{ got: number } | { error: unknown }> | undefined;
  /** The bytes at the start of the buffer that begin a character whose end has not been read. */
  let held = 0;
  let text = '';
  let ended = false;
  let isStart = true;
  /** The line of the first character of `text`. */
  let line = 1;
  let column = 1;

  function placeOf(at: number): { line: number; column: number } {
    let lines = line;
    let start = -1;
    for (let next = text.indexOf('\n'); next !== -1 && next < at; next = text.indexOf('\n', next + 1)) {
      lines++;
      start = next;
    }
    return { line: lines, column: start === -1 ? column + at : at - start };
  }

  function decode(bytes: Uint8Array): string {
    let decoded: string;
    try {
      decoded = decoder.decode(bytes);
    } catch (error) {
      throw notUtf8(error);
    }
    if (!isStart || decoded === '') return decoded;
    isStart = false;
    return decoded.startsWith(BOM) ? decoded.slice(1) : decoded;
  }

  async function more(from: number): Promise<void> {
    if (from > 0) {
      ({ line, column } = placeOf(from));
      text = text.slice(from);
    }
    if (ended) return;
    const left = text.length;
    const got = await readOn();
    ended = got === 0;
    onBytes?.(buffer.subarray(held, held + got));
    const end = held + got;
    const whole = ended ? end : end - unfinished(buffer, end);
    text += decode(buffer.subarray(0, whole));
    const rest = buffer.subarray(whole, end);
    if (!ended) readAhead(rest, left);
  }

  /** @param left how much of the text could not be taken: a long member needs longer pieces. */
  function readAhead(rest: Uint8Array, left: number): void {
    const wanted = MAX_HELD_BYTES + Math.min(Math.max(chunkBytes, 2 * left), MAX_CHUNK_BYTES);
    if (other.length < wanted) other = new Uint8Array(wanted);
    other.set(rest);
    held = rest.length;
    [buffer, other] = [other, buffer];
    reading = read(buffer.subarray(held)).then(
      (got) => ({ got }),
      (error: unknown) => ({ error }),
    );
  }

  async function readOn(): Promise<number> {
    if (reading === undefined) return await read(buffer.subarray(held));
    const outcome = await reading;
    reading = undefined;
    if ('error' in outcome) throw outcome.error;
    return outcome.got;
  }

  return {
    get text(): string {
      return text;
    },
    get ended(): boolean {
      return ended;
    },
    more,
    async settle() {
      await reading;
    },
    placeOf,
  };
}

/** The number of bytes before `end` that begin a UTF-8 character which continues after it. */
function unfinished(bytes: Uint8Array, end: number): number {
  for (let back = 1; back <= Math.min(3, end); back++) {
    const byte = bytes[end - back] ?? 0;
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return length > back ? back : 0;
  }
  return 0;
}
