import { PassThrough } from 'node:stream';
import type { BrokerError } from '../../protocol/errors.ts';

/** The body of an answer that comes over time. */
export interface Body {
  /** Its parts as they come; ends with the error given to `fail`. */
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
  stream.on('drain', onRoom);
  // Whoever reads gets the error; that nobody does is no failure of the broker.
  stream.on('error', () => undefined);
  stream.once('close', () => {
    if (!over) onAbandoned();
  });
  return {
    parts: stream,
    push: (part) => over || stream.destroyed || stream.write(part),
    end() {
      over = true;
      stream.end();
    },
    fail(error) {
      over = true;
      stream.destroy(error);
    },
  };
}
