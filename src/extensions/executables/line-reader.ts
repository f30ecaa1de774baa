import { type FromHost, parseFrame } from '../../protocol/messages/extension-frames.ts';

export interface LineReaderOptions {
  onFrame(frame: FromHost): void;
  /** Called with the extension's own output between the frames. */
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
      for (;;) {
        const end = bytes.indexOf(NEWLINE, from);
        if (end === -1) break;
        const part = bytes.subarray(from, end + 1);
        takeLine(waiting.length === 0 ? part : Buffer.concat([takeWaiting(), part]));
        from = end + 1;
      }
      if (from === bytes.length) return;
      waiting.push(bytes.subarray(from));
      size += bytes.length - from;
      if (size > maxBytes) onOverflow(takeWaiting());
    },
    end() {
      if (size > 0) onText(takeWaiting());
    },
  };
}
