/** Lines to be written to standard error. No call throws or waits for the reader. */
export interface LineQueue {
  /** Accepts a line, or part of one. Without room, it drops the line and counts it. */
  write(text: string): void;
  /** Sets the text of the line that reports how many were lost. */
  sayLossAs(render: (lines: number) => string): void;
  /** Waits until all is written, as long as the reader reads, within the limits. */
  flush(): Promise<void>;
  /** How many lines were lost so far. */
  readonly lost: number;
}

/** Writes bytes and reports whether that worked, at once or later. It must not throw. */
export type Send = (bytes: Uint8Array, done: (isWritten: boolean) => void) => void;

export interface LineQueueLimits {
  /** Bytes that may wait; default 262,144 (256 KiB). */
  readonly bytes?: number;
  /** Longest time that `flush` waits for a reader that reads nothing, in milliseconds; default 1000. */
  readonly idleMs?: number;
  /** Longest time that `flush` takes, in milliseconds; default 5000. */
  readonly flushMs?: number;
}

interface Item {
  readonly bytes: Uint8Array;
  /** How many lines are lost with it. */
  readonly lines: number;
  /** Whether their loss has been counted already. */
  readonly isLoss: boolean;
}

const POLL_MS = 5;

/** The text that reports how many lines could not be written. */
export function lossText(lines: number): string {
  return lines === 1 ? '1 line was lost' : `${lines} lines were lost`;
}

/**
 * A bounded queue with one write at a time. Once it is full, lines are dropped until half of it is free
 * again. Then it reports how many there were, so that the report is at the place of the loss.
 */
export function createLineQueue(send: Send, limits: LineQueueLimits = {}): LineQueue {
  const { bytes: most = 256 * 1024, idleMs = 1000, flushMs = 5000 } = limits;
  let items: Item[] = [];
  let size = 0;
  /** Not reported yet. */
  let lost = 0;
  let lostInAll = 0;
  let sent = 0;
  let isSending = false;
  let isPumping = false;
  let lossLine = lossText;

  function push(text: string, lines: number, isLoss: boolean): void {
    const bytes = Buffer.from(text);
    items.push({ bytes, lines, isLoss });
    size += bytes.byteLength;
  }

  /** An empty queue accepts also a line that is longer than the queue. */
  function hasRoom(text: string): boolean {
    return size === 0 || size + text.length <= most;
  }

  function tellLoss(): void {
    if (lost === 0 || size > most / 2) return;
    const lines = lost;
    lost = 0;
    push(`${lossLine(lines)}\n`, lines, true);
  }

  function lose(lines: number, isKnown = false): void {
    lost += lines;
    if (!isKnown) lostInAll += lines;
  }

  function pump(): void {
    // Writes that end at once must not deepen the stack by one for each line.
    if (isPumping) return;
    isPumping = true;
    while (!isSending) {
      const item = items.shift();
      if (item === undefined) break;
      isSending = true;
      send(item.bytes, (isWritten) => ended(item, isWritten));
    }
    isPumping = false;
  }

  function ended(item: Item, isWritten: boolean): void {
    isSending = false;
    sent++;
    size -= item.bytes.byteLength;
    if (isWritten) tellLoss();
    else lose(item.lines, item.isLoss);
    pump();
  }

  return {
    write(text) {
      tellLoss();
      if (lost === 0 && hasRoom(text)) push(text, 1, false);
      else lose(1);
      pump();
    },
    sayLossAs(render) {
      lossLine = render;
    },
    async flush() {
      tellLoss();
      pump();
      const end = performance.now() + flushMs;
      let idleEnd = performance.now() + idleMs;
      let before = sent;
      const isOver = (): boolean => size === 0 || performance.now() > Math.min(end, idleEnd);
      while (!isOver()) {
        await new Promise((resolve) => setTimeout(resolve, POLL_MS));
        if (sent !== before) idleEnd = performance.now() + idleMs;
        before = sent;
      }
      items = [];
    },
    get lost() {
      return lostInAll;
    },
  };
}
