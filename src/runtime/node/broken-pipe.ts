import fs from 'node:fs';
import { Socket } from 'node:net';

/** A handle of libuv for a stream, which the constructor of `Socket` accepts. */
interface StreamHandle {
  /** Returns 0, or the number of an error. */
  open(fd: number): number;
}

interface TcpWrap {
  readonly TCP: new (type: number) => StreamHandle;
  readonly constants: { readonly SOCKET: number };
}

/**
 * Calls `action` once the reader of standard output has gone, if that is a pipe. Linux then reports an error
 * of the pipe to every waiting process. Node can wait only for a pipe that it reads, so it gets this one as a
 * socket. That there is never any data to read does not matter.
 *
 * The pipe is opened once more for that: a non-blocking standard output would affect every program that
 * shares it.
 */
export function onBrokenPipe(action: () => void): void {
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
    // The reader had gone before, so the pipe cannot be opened.
    if ((error as NodeJS.ErrnoException).code === 'ENXIO') setImmediate(action);
    // In any other case this Node, or the system, cannot tell: the next write fails.
  }
}

function binding(name: 'tcp_wrap'): TcpWrap {
  const { binding: load } = process as unknown as { readonly binding: (name: string) => TcpWrap };
  return load(name);
}
