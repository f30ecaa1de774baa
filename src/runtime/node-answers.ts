import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** Answers a request. */
type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => unknown;

/** Requests of one connection that may wait for the answer before them. */
const MAX_WAITING = 1000;

/** Bytes of an answer that are given to its connection at a time. */
const SLICE = 16 * 1024;

/**
 * Answers the requests of a connection one after another: the next one only once the answer before it has been sent. A
 * client that sends many and reads nothing costs one answer then, and not all of them.
 */
export function oneAtATime(listener: Listener): Listener {
  const waiting = new WeakMap<Duplex, (() => void)[]>();

  return (incoming, outgoing) => {
    const { socket } = incoming;
    const queue = waiting.get(socket);
    if (queue) {
      if (queue.length >= MAX_WAITING) return socket.destroy();
      queue.push(run);
      return socket.pause();
    }
    waiting.set(socket, []);
    return run();

    function run(): unknown {
      outgoing.once('close', next);
      inSlices(outgoing);
      return listener(incoming, outgoing);
    }

    function next(): void {
      const [first, ...rest] = waiting.get(socket) ?? [];
      if (socket.destroyed || !first) {
        waiting.delete(socket);
        return;
      }
      waiting.set(socket, rest);
      if (rest.length === 0) socket.resume();
      first();
    }
  };
}

/**
 * Has a long body go out in parts, each once the one before has been taken: a connection would make a copy of the whole, and
 * not tell whether any of it is read.
 */
function inSlices(outgoing: ServerResponse): void {
  const end = outgoing.end.bind(outgoing) as (body?: unknown, ...rest: unknown[]) => ServerResponse;
  outgoing.end = (body?: unknown, ...rest: unknown[]): ServerResponse => {
    const short = typeof body === 'string' ? body.length < SLICE : !(body instanceof Uint8Array);
    if (short) return end(body, ...rest);
    const bytes = typeof body === 'string' ? Buffer.from(body) : (body as Uint8Array);
    let sent = 0;
    const more = (): void => {
      while (sent < bytes.length && !outgoing.destroyed) {
        const slice = bytes.subarray(sent, (sent += SLICE));
        if (!outgoing.write(slice)) return void outgoing.once('drain', more);
      }
      end();
    };
    more();
    return outgoing;
  };
}
