import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** Answers a request. */
type Listener = (incoming: IncomingMessage, outgoing: ServerResponse) => unknown;

/** The most requests of one connection that wait for the answer before them. */
const MAX_WAITING = 1000;

/** The bytes of an answer that its connection gets at a time. */
const SLICE = 16 * 1024;

/** The requests of a connection: whether one of them is being answered, and those that wait for it. */
interface Pipeline {
  busy: boolean;
  waiting: (() => void)[];
}

/**
 * Answers the requests of a connection one after another: the next one only after the answer before it was
 * sent. A client that sends many and reads nothing then costs one answer, and not all of them.
 */
export function oneAtATime(listener: Listener): Listener {
  const pipelines = new WeakMap<Duplex, Pipeline>();

  function pipelineOf(socket: Duplex): Pipeline {
    const present = pipelines.get(socket);
    if (present) return present;
    const pipeline: Pipeline = { busy: false, waiting: [] };
    pipelines.set(socket, pipeline);
    return pipeline;
  }

  return (incoming, outgoing) => {
    const { socket } = incoming;
    const pipeline = pipelineOf(socket);
    if (pipeline.busy) {
      if (pipeline.waiting.length >= MAX_WAITING) return socket.destroy();
      pipeline.waiting.push(run);
      return socket.pause();
    }
    return run();

    function run(): unknown {
      pipeline.busy = true;
      outgoing.on('close', next);
      outgoing.write = writeSlice;
      outgoing.end = endInSlices;
      return listener(incoming, outgoing);
    }

    function next(): void {
      pipeline.busy = false;
      if (socket.destroyed) return;
      const first = pipeline.waiting.shift();
      if (!first) return;
      if (pipeline.waiting.length === 0) socket.resume();
      first();
    }
  };
}

// These send an answer in parts, each after the one before has left this process. A connection copies all
// data that it gets, and would not show whether any of it is read. They are shared functions that replace an
// answer's own methods, since new functions for each answer would cost a twentieth of its time.
const { write, end } = ServerResponse.prototype as {
  write(part: unknown, done: () => void): boolean;
  end(body?: unknown, ...rest: unknown[]): ServerResponse;
};

function writeSlice(this: ServerResponse, part: unknown): boolean {
  write.call(this, part, () => this.emit('drain'));
  // It is full after each part, whatever the stream's own mark: newer versions of Node have 64 KiB for each
  // connection.
  return false;
}

function endInSlices(this: ServerResponse, body?: unknown, ...rest: unknown[]): ServerResponse {
  const short = typeof body === 'string' ? body.length < SLICE : !(body instanceof Uint8Array);
  if (short) return end.call(this, body, ...rest);
  const bytes = typeof body === 'string' ? Buffer.from(body) : (body as Uint8Array);
  let sent = 0;
  const more = (): void => {
    if (this.destroyed) return;
    if (sent >= bytes.length) return void end.call(this);
    const slice = bytes.subarray(sent, (sent += SLICE));
    this.once('drain', more);
    this.write(slice);
  };
  more();
  return this;
}
