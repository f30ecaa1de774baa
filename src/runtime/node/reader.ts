import fs from 'node:fs';
import { Socket } from 'node:net';

/** A handle of libuv for a stream, as the constructor of `Socket` takes it. */
interface StreamHandle {
  /** Gives 0, or the number of an error. */
  open(fd: number): number;
}

interface TcpWrap {
  readonly TCP: new (type: number) => StreamHandle;
  readonly constants: { readonly SOCKET: number };
}

/**
 * Calls `action` once the reader of the pipe that is standard output has gone. Linux then reports an error of the pipe to whoever
 * waits for anything on it. Node has no way to wait on a pipe that it writes to, but for one that it takes for a socket, which it
 * reads from: that there is nothing to read makes no difference.
 *
 * The pipe is opened once more for that: to make standard output itself non-blocking would do so to every program that has it.
 */
export function onReaderGone(action: () => void): void {
  if (process.platform !== 'linux') return;
  let fd: number | undefined;
  try {
    if (!fs.fstatSync(1).isFIFO()) return;
    const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = fs.constants;
    fd = fs.openSync('/proc/self/fd/1', O_WRONLY | O_NONBLOCK | O_NOCTTY);
    const { TCP, constants } = binding('tcp_wrap');
    const handle = new TCP(constants.SOCKET);
    if (handle.open(fd) !== 0) throw new Error('libuv does not take the pipe');
    const socket = new Socket({ handle, readable: true, writable: false } as object);
    socket.once('error', action).resume().unref();
  } catch (error) {
    if (fd !== undefined) fs.closeSync(fd);
    // It had gone before: then there is nobody to open the pipe for.
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') setImmediate(action);
    // Else this Node, or the system, does not let us know: the next write will.
  }
}

function binding(name: 'tcp_wrap'): TcpWrap {
  const { binding: load } = process as unknown as { readonly binding: (name: string) => TcpWrap };
  return load(name);
}
