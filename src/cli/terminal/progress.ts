import { NO_STATUS, statusLine } from './status-line.ts';
import { isTerminal, writeError } from './terminal.ts';

/** One line on a terminal that shows the progress of a command. Elsewhere it writes nothing. */
export interface ProgressLine {
  show(text: string): void;
  /** Removes the line, so that the next output has a line of its own. */
  end(): void;
}

const EVERY_MS = 100;

export async function openProgress(): Promise<ProgressLine> {
  if (!(await isTerminal(2))) return { show: () => undefined, end: () => undefined };
  let shownAt = -Infinity;
  return {
    show(text) {
      const now = performance.now();
      if (now - shownAt < EVERY_MS) return;
      shownAt = now;
      writeError(statusLine(text));
    },
    end() {
      if (shownAt > 0) writeError(NO_STATUS);
      shownAt = -Infinity;
    },
  };
}
