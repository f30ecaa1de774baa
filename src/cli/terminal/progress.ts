import { isTerminal, writeError } from './terminal.ts';

/** One line on a terminal that says how far a command is. Elsewhere it says nothing. */
export interface ProgressLine {
  show(text: string): void;
  /** Takes the line away, so that what is written next has it for itself. */
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
      writeError(`\r\u001b[K${text}`);
    },
    end() {
      if (shownAt > 0) writeError('\r\u001b[K');
      shownAt = -Infinity;
    },
  };
}
