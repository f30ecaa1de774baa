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
 * Has an answer go out in parts, each once the one before has left this process: a connection makes a copy of all that it is
 * given, and would not tell whether any of it is read.
 */
function inSlices(outgoing: ServerResponse): void {
  const end = outgoing.end.bind(outgoing) as (body?: unknown, ...rest: unknown[]) => ServerResponse;
  const write = outgoing.write.bind(outgoing) as (part: unknown, done: () => void) => boolean;

  // Full after each part, whatever the stream's own mark is: that is 64 KiB for each connection on newer versions of Node.
  outgoing.write = (part: unknown): boolean => {
    write(part, () => outgoing.emit('drain'));
    return false;
  };

  outgoing.end = (body?: unknown, ...rest: unknown[]): ServerResponse => {
    const short = typeof body === 'string' ? body.length < SLICE : !(body instanceof Uint8Array);
    if (short) return end(body, ...rest);
    const bytes = typeof body === 'string' ? Buffer.from(body) : (body as Uint8Array);
    let sent = 0;
    const more = (): void => {
      if (outgoing.destroyed) return;
      if (sent >= bytes.length) return void end();
      const slice = bytes.subarray(sent, (sent += SLICE));
      outgoing.once('drain', more);
      outgoing.write(slice);
    };
    more();
    return outgoing;
  };
}
