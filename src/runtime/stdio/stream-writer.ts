import type { Writable } from 'node:stream';
import type { Runtime } from '../runtime.ts';

/** `Runtime.writeErrorLater` by a stream, which is made at the first call, and made again after it failed. */
export function streamWriter(open: () => Writable): Runtime['writeErrorLater'] {
  let stream: Writable | undefined;
  return (bytes, done) => {
    let isOver = false;
    const end = (isWritten: boolean): void => {
      if (isOver) return;
      isOver = true;
      if (!isWritten) stream = undefined;
      done(isWritten);
    };
    try {
      if (stream === undefined || stream.destroyed) {
        stream = open();
        // Without a listener, a reader that has gone would end the process.
        stream.removeListener('error', ignore).on('error', ignore);
      }
      stream.write(bytes, (error) => end(!error));
    } catch {
      end(false);
    }
  };
}

function ignore(): void {}
