import type { Logger } from '../../protocol/logger.ts';

/** Most of what one call prints that reaches the log, in bytes. */
const LOGGED_BYTES = 256 * 1024;
/** Longest line of the log that an extension makes, in characters. */
const LINE_LENGTH = 4096;

/** Writes what an extension prints to the log, line by line, and no more of it than a log can take. */
export interface OutputLog {
  /** Begins a call: it may fill the log anew. */
  begin(): void;
  write(bytes: Uint8Array): void;
  /** What was written last, for an error message: whole lines, at the most 2,000 characters. */
  tail(): string;
  /** Writes a last line that has no end. */
  flush(): void;
}

export function createOutputLog(name: string, log: Logger): OutputLog {
  let decoder = new TextDecoder();
  let rest = '';
  let left = LOGGED_BYTES;
  let last = '';

  const line = (text: string): void => {
    if (text === '') return;
    last = `${last}${text}\n`.slice(-2000);
    if (left < 0) return;
    left -= text.length;
    log.info(left < 0 ? 'extension prints too much; the rest is left out' : 'extension output', {
      extension: name,
      ...(left < 0 ? {} : { text: text.slice(0, LINE_LENGTH) }),
    });
  };

  return {
    begin() {
      left = LOGGED_BYTES;
      last = '';
    },
    write(bytes) {
      const lines = (rest + decoder.decode(bytes, { stream: true })).split(/\r?\n/);
      rest = lines.pop() ?? '';
      for (const text of lines) line(text);
      // A line without an end must not grow for ever.
      if (rest.length > LINE_LENGTH) {
        line(rest);
        rest = '';
      }
    },
    tail: () => last.trim(),
    flush() {
      line(rest);
      rest = '';
      decoder = new TextDecoder();
    },
  };
}
