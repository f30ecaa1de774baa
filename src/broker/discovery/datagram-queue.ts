import { setImmediate } from 'node:timers';

/**
 * A queue of datagrams, of which a few are handled in each turn of the event loop. A runtime may deliver
 * datagrams as long as more arrive, and nothing else runs meanwhile. Those beyond a few only wait here.
 */
export interface DatagramQueue<T> {
  /**
   * Handles a datagram now, or in a later turn, in the order of arrival. Returns false when too many wait: it
   * is dropped then.
   */
  add(datagram: Uint8Array, item: T): boolean;
  /** Drops all waiting datagrams. */
  close(): void;
}

export interface DatagramQueueOptions {
  /** The number of datagrams handled in one turn. */
  readonly perTurn: number;
  /** The most bytes of waiting datagrams, each with {@link DATAGRAM_BYTES} of overhead. */
  readonly maxBytes: number;
}

/**
 * The overhead that a datagram counts besides its own bytes, about its cost in memory. Anyone may send an
 * empty one, which takes room too.
 */
export const DATAGRAM_BYTES = 512;

export function createDatagramQueue<T>(
  handle: (datagram: Uint8Array, item: T) => void,
  { perTurn, maxBytes }: DatagramQueueOptions,
): DatagramQueue<T> {
  let waiting: { readonly datagram: Uint8Array; readonly item: T }[] = [];
  let head = 0;
  let bytes = 0;
  let handled = 0;
  let scheduled = false;

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(turn);
  }

  function turn(): void {
    scheduled = false;
    handled = 0;
    for (; handled < perTurn && head < waiting.length; handled++) {
      const next = waiting[head++];
      if (!next) return;
      bytes -= next.datagram.length + DATAGRAM_BYTES;
      handle(next.datagram, next.item);
    }
    // Handled items are removed once they are the larger part.
    if (head * 2 >= waiting.length) {
      waiting = waiting.slice(head);
      head = 0;
    }
    if (handled > 0) schedule();
  }

  return {
    add(datagram, item) {
      // The next turn then counts from 0 again.
      schedule();
      if (head === waiting.length && handled < perTurn) {
        handled++;
        handle(datagram, item);
        return true;
      }
      const size = datagram.length + DATAGRAM_BYTES;
      if (bytes + size > maxBytes) return false;
      bytes += size;
      waiting.push({ datagram, item });
      return true;
    },
    close() {
      waiting = [];
      head = 0;
      bytes = 0;
    },
  };
}
