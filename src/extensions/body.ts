import { PassThrough } from 'node:stream';
import type { BrokerError } from '../protocol/errors.ts';

/** The body of an answer that comes over time. */
export interface Body {
  /** Its parts as they come; ends with the error given to `fail`, behind what had come before. To be read once. */
  readonly parts: AsyncIterable<Uint8Array>;
  /** Adds a part. Gives whether more may come at once; if not, `onRoom` tells when. */
  push(part: Uint8Array): boolean;
  end(): void;
  fail(error: BrokerError): void;
}

export interface BodyOptions {
  onRoom(): void;
  /** The reader has gone before the end. */
  onAbandoned(): void;
}

/** Bytes that may wait for their reader before the extension is held up. */
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
            // Also where nothing has been read: the stream's own iterator would do nothing then.
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
      // A stream that has been ended says no more that it has room, and whoever waits for that would wait for ever.
      onRoom();
    },
    fail(error) {
      over = true;
      failure = error;
      // Not destroyed: what waits for its reader still belongs to it.
      stream.end();
      onRoom();
    },
  };
}
