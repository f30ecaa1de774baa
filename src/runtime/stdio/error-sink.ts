import type { FileKind, FileSystem, Runtime } from '../runtime.ts';

/**
 * Writes to standard error without waiting for its reader.
 *
 * A write to a pipe or a terminal whose reader sleeps blocks the whole process. A non-blocking descriptor
 * would affect every program that shares it. So on Linux the same pipe or terminal is opened once more, only
 * for this process. Where that is impossible (a socket, a pipe of another user, other systems), the runtime's
 * own way is used. A file never blocks.
 */
export type ErrorSink = (bytes: Uint8Array, done: (isWritten: boolean) => void) => void;

/**
 * The bytes that a pipe of Linux takes whole or not at all: Deno does not say how much of a longer text it
 * has written.
 */
const CHUNK_BYTES = 4096;
const FIRST_RETRY_MS = 5;
const MAX_RETRY_MS = 200;

export interface ErrorSinkOptions {
  /**
   * Whether lines must keep their order with standard output, because both are one socket. They are then
   * written at once, and may wait for the reader, as the results do. Called at the first line.
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
      // There is no reader now: a closed descriptor, a terminal that hung up, a pipe without a reader.
      done(false);
      return;
    }
    send(bytes, done);
  };
}

/**
 * Chooses the way to write; undefined where the runtime has to do it.
 * @throws the system's error where nothing can be written now.
 */
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

/** Writes to a descriptor that never blocks; while there is no room, it tries again. */
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
