import type { Logger } from '../protocol/logger.ts';

/**
 * The most output of one call that reaches the log: an extension must not fill the disk, nor keep the broker
 * busy.
 */
const MAX_BYTES = 256 * 1024;
const MAX_LINES = 1000;
/** The longest line of the log from an extension, in characters. */
const LINE_LENGTH = 4096;
/** The bytes of the end that are kept for an error message. */
const TAIL_BYTES = 4096;

/**
 * Writes to the log what an extension prints, line by line, and what it logs itself. Both together are limited for
 * each call; what comes after a call counts towards it.
 */
export interface OutputLog {
  /** Begins a call: the limit starts again, and the lines name its request. */
  begin(request: string): void;
  write(bytes: Uint8Array): void;
  /** Writes a line that the extension logs itself. */
  log(level: keyof Logger, text: string): void;
  /** The end of the output, for an error message. */
  tail(): string;
  /** Writes a last line that has no end. */
  flush(): void;
}

export function createOutputLog(name: string, log: Logger): OutputLog {
  let decoder = new TextDecoder();
  let rest = '';
  let bytesLeft = MAX_BYTES;
  let linesLeft = MAX_LINES;
  let end: Uint8Array = new Uint8Array();
  let request: string | undefined;

  const isFull = (): boolean => bytesLeft <= 0 || linesLeft <= 0;

  const add = (level: keyof Logger, message: string, text: string): void => {
    if (isFull()) return;
    const line = text.slice(0, LINE_LENGTH);
    bytesLeft -= line.length;
    linesLeft -= 1;
    log[level](message, { extension: name, text: line, request });
    if (isFull()) log.warn('extension prints too much; the rest is left out', { extension: name, request });
  };
  const writeLine = (text: string): void => {
    if (text !== '') add('info', 'extension output', text);
  };

  return {
    begin(next) {
      request = next;
      bytesLeft = MAX_BYTES;
      linesLeft = MAX_LINES;
      end = new Uint8Array();
    },
    write(bytes) {
      end = Buffer.concat([end, bytes.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES);
      if (isFull()) return;
      // Empty lines are not written, so they must not use up the limit. One more may be before the first line.
      const lines = (rest + decoder.decode(bytes, { stream: true })).split(/(?:\r?\n)+/, linesLeft + 2);
      rest = lines.pop() ?? '';
      for (const text of lines) writeLine(text);
      // A line without an end must not grow forever.
      if (rest.length > LINE_LENGTH) {
        writeLine(rest);
        rest = '';
      }
    },
    log: (level, text) => add(level, 'extension log', text),
    tail: () => new TextDecoder().decode(end).trim(),
    flush() {
      writeLine(rest);
      rest = '';
      decoder = new TextDecoder();
    },
  };
}
