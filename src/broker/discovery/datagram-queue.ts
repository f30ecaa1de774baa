import { setImmediate } from 'node:timers';

/**
 * Datagrams that have come, dealt with a few in a turn of the event loop. A runtime may hand over datagrams for as long as more come, and
 * nothing else goes on meanwhile: those beyond a few only wait here.
 */
export interface DatagramQueue<T> {
  /** Deals with a datagram now, or in a later turn; in the order in which they come. False: too many wait, and it is dropped. */
  add(datagram: Uint8Array, item: T): boolean;
  /** Drops all that wait. */
  close(): void;
}

export interface DatagramQueueOptions {
  /** Datagrams dealt with in one turn. */
  readonly perTurn: number;
  /** Bytes of datagrams that may wait, each with {@link DATAGRAM_BYTES} for what keeps it. */
  readonly maxBytes: number;
}

/** What a datagram counts besides its own bytes, about what it takes to keep it: an empty one, which anybody may send, takes room too. */
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
    // What has been dealt with goes once it is the larger part.
    if (head * 2 >= waiting.length) {
      waiting = waiting.slice(head);
      head = 0;
    }
    if (handled > 0) schedule();
  }

  return {
    add(datagram, item) {
      // So that the next turn begins to count anew.
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
