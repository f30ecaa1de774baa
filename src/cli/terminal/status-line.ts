/** Removes a status line, so that the next output has a line of its own. */
export const NO_STATUS = '\r\u001b[K';

/**
 * A line on a terminal that the next one replaces. A narrower terminal shows its beginning alone: of a line
 * that it wraps, only the last row could be replaced.
 */
export function statusLine(text: string): string {
  return `${NO_STATUS}\u001b[?7l${text}\u001b[?7h`;
}
