import { type FromHost, parseFrame } from '../../protocol/messages/extension-frames.ts';

export interface LineReaderOptions {
  onFrame(frame: FromHost): void;
  /** Called with the extension's own output between the frames: any number of lines at once, as they came. */
  onText(bytes: Uint8Array): void;
  /** A line with the mark is not a frame, so its message is lost. */
  onBroken(): void;
  /** A line is longer than `maxBytes`; called with what has come of it, which is not kept. */
  onOverflow(bytes: Uint8Array): void;
}

export interface LineReader {
  read(bytes: Buffer): void;
  /** Nothing follows: a last line that has no end is text. */
  end(): void;
}

const NEWLINE = 0x0a;

/** Separates the frames of a host, lines that begin with `mark`, from the extension's own output. */
export function createLineReader(
  mark: string,
  maxBytes: number,
  { onFrame, onText, onBroken, onOverflow }: LineReaderOptions,
): LineReader {
  const begin = Buffer.from(mark);
  let waiting: Buffer[] = [];
  let size = 0;

  const takeWaiting = (): Buffer => {
    const bytes = Buffer.concat(waiting);
    waiting = [];
    size = 0;
    return bytes;
  };

  const keep = (bytes: Buffer): void => {
    waiting.push(bytes);
    size += bytes.length;
    if (size > maxBytes) onOverflow(takeWaiting());
  };

  const takeLine = (line: Buffer): void => {
    // Text without a newline may be before the mark.
    const at = line.indexOf(begin);
    if (at === -1) return onText(line);
    const frame = parseFrame(line.toString('utf8', at + begin.length));
    if (!frame) return onBroken();
    if (at > 0) onText(Buffer.concat([line.subarray(0, at), Buffer.of(NEWLINE)]));
    onFrame(frame);
  };

  return {
    read(bytes) {
      let from = 0;
      if (waiting.length > 0) {
        const end = bytes.indexOf(NEWLINE);
        if (end === -1) return keep(bytes);
        takeLine(Buffer.concat([takeWaiting(), bytes.subarray(0, end + 1)]));
        from = end + 1;
      }
      for (;;) {
        const at = bytes.indexOf(begin, from);
        // All lines before the next frame are text. To take each by itself would cost a flood of short lines dear.
        const text = (at === -1 ? bytes.lastIndexOf(NEWLINE) : bytes.lastIndexOf(NEWLINE, at)) + 1;
        if (text > from) {
          onText(bytes.subarray(from, text));
          from = text;
        }
        const end = at === -1 ? -1 : bytes.indexOf(NEWLINE, at);
        if (end === -1) break;
        takeLine(bytes.subarray(from, end + 1));
        from = end + 1;
      }
      if (from < bytes.length) keep(bytes.subarray(from));
    },
    end() {
      if (size > 0) onText(takeWaiting());
    },
  };
}
