import type { FileKind, FileSystem, Runtime } from '../runtime.ts';

/**
 * Writes to standard error without waiting for whoever reads it.
 *
 * A write to a pipe or a terminal whose reader sleeps holds up the whole process, and to make the descriptor itself
 * non-blocking would do so to every program that shares it. So on Linux the same pipe or terminal is opened once more,
 * for this process alone. What cannot be opened again (a socket, a pipe of another user, other systems) is left to the
 * runtime's own way. A file takes what it is given.
 */
export type ErrorSink = (bytes: Uint8Array, done: (isWritten: boolean) => void) => void;

/** What a pipe of Linux takes whole or not at all: Deno does not say how much of a longer one it has written. */
const CHUNK_BYTES = 4096;
const FIRST_RETRY_MS = 5;
const MAX_RETRY_MS = 200;

export interface ErrorSinkOptions {
  /**
   * Whether lines keep their place among what goes to standard output, where both are one socket: they are written at once
   * then, and may wait for the reader, as the results do. Asked at the first line.
   */
  isInOrder(): boolean;
}

export function createErrorSink(
  { fs, writeErrorLater }: Pick<Runtime, 'fs' | 'writeErrorLater'>,
  { isInOrder }: ErrorSinkOptions,
  platform: NodeJS.Platform = process.platform,
): ErrorSink {
  let send: ErrorSink | undefined;
  return (bytes, done) => {
    try {
      send ??= choose(fs(), platform, isInOrder) ?? writeErrorLater;
    } catch {
      // Nobody is there now: a closed descriptor, a terminal that hung up, a pipe without a reader.
      done(false);
      return;
    }
    send(bytes, done);
  };
}

/** Nothing where the runtime has to do it. Throws the system's error where nothing can be written now. */
function choose(fs: FileSystem, platform: NodeJS.Platform, isInOrder: () => boolean): ErrorSink | undefined {
  const kind = fs.fstatSync(2);
  const isDirect = kind.isFile() || (platform === 'win32' && kind.isCharacterDevice());
  if (isDirect) return writeTo(fs, 2);
  const other = isInOrder() && isStandardOutput(fs, kind) ? writeTo(fs, 2) : undefined;
  if (platform !== 'linux' || !(kind.isFIFO() || kind.isCharacterDevice())) return other;
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
  try {
    return writeTo(fs, fs.openSync('/proc/self/fd/2', O_WRONLY | O_NONBLOCK | O_NOCTTY));
  } catch (error) {
    if (['ENXIO', 'EIO'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
    return other;
  }
}

function isStandardOutput(fs: FileSystem, { dev, ino }: FileKind): boolean {
  try {
    const output = fs.fstatSync(1);
    return output.ino === ino && output.dev === dev;
  } catch {
    return false;
  }
}

/** Writes to a descriptor that never makes a write wait; while there is no room, it tries again. */
function writeTo(fs: FileSystem, fd: number): ErrorSink {
  return (bytes, done) => {
    let rest = bytes;
    let retryMs = FIRST_RETRY_MS;
    const go = (): void => {
      try {
        while (rest.byteLength > 0) {
          rest = rest.subarray(fs.writeSync(fd, rest.subarray(0, CHUNK_BYTES)));
          retryMs = FIRST_RETRY_MS;
        }
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') {
          done(false);
          return;
        }
        setTimeout(go, retryMs).unref();
        retryMs = Math.min(2 * retryMs, MAX_RETRY_MS);
        return;
      }
      done(true);
    };
    go();
  };
}
