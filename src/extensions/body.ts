import { PassThrough } from 'node:stream';
import type { BrokerError } from '../protocol/errors.ts';

/** The body of an answer that arrives over time. */
export interface Body {
  /**
   * Its parts as they arrive; after the last one comes the error passed to `fail`, if any. It can be read
   * once.
   */
  readonly parts: AsyncIterable<Uint8Array>;
  /**
   * Adds a part. Returns whether more may be added at once; if not, `onRoom` is called when there is room.
   */
  push(part: Uint8Array): boolean;
  end(): void;
  fail(error: BrokerError): void;
}

export interface BodyOptions {
  onRoom(): void;
  /** The reader has gone before the end. */
  onAbandoned(): void;
}

/** The most bytes that wait for their reader before the extension is paused. */
const WAITING_BYTES = 256 * 1024;

export function createBody({ onRoom, onAbandoned }: BodyOptions): Body {
  const stream = new PassThrough({ highWaterMark: WAITING_BYTES });
  let over = false;
  let failure: BrokerError | undefined;
  stream.on('drain', onRoom);
  stream.once('close', () => {
    if (!over) onAbandoned();
  });
  return {
    parts: {
      [Symbol.asyncIterator]() {
        const parts = stream[Symbol.asyncIterator]() as AsyncIterator<Uint8Array, undefined>;
        return {
          async next() {
            const part = await parts.next();
            if (part.done && failure) throw failure;
            return part;
          },
          async return() {
            // This is needed even before the first read, where the stream's own iterator would do nothing.
            stream.destroy();
            return { done: true, value: undefined };
          },
        };
      },
    },
    push: (part) => over || stream.destroyed || stream.write(part),
    end() {
      over = true;
      stream.end();
      // A stream that has ended reports no more room, so that a writer would wait for it forever.
      onRoom();
    },
    fail(error) {
      over = true;
      failure = error;
      // It is not destroyed: its reader still gets the parts that wait.
      stream.end();
      onRoom();
    },
  };
}
