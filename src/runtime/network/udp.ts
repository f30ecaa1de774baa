import { createSocket, type Socket } from 'node:dgram';

/** UDP over `node:dgram`, which Node, Bun and Deno all have; this file hides their small differences. */

export interface UdpOptions {
  readonly family: 4 | 6;
  /** The local address; a link-local one with its zone (`fe80::1%eth0`). */
  readonly address: string;
  /** The local port; 0 (the default) picks a free one. */
  readonly port?: number;
  /** Lets the socket send to broadcast addresses. Default: false. */
  readonly broadcast?: boolean;
  /** Shares the address and port with other sockets that set this too. Default: false. */
  readonly reuse?: boolean;
  /**
   * The bytes of datagrams that the system should keep until they are read. It may keep fewer (Linux:
   * net.core.rmem_max). It means nothing on Deno. Default: the system's own.
   */
  readonly receiveBuffer?: number;
  onMessage(datagram: Uint8Array, from: UdpPeer): void;
  /** An error of the open socket that belongs to no call; the socket stays open. Default: ignored. */
  onError?(error: Error): void;
}

/** The sender or receiver of a datagram. */
export interface UdpPeer {
  /** IP address; a link-local one carries its zone, except under Deno, which leaves it out. */
  readonly address: string;
  readonly port: number;
}

/** An open UDP socket. */
export interface UdpSocket {
  readonly port: number;
  /**
   * Sends one datagram to an IP address. Returns the error, if any, and never rejects, even after `close`.
   */
  send(datagram: Uint8Array, to: UdpPeer): Promise<Error | undefined>;
  /** Joins an IPv6 group on the interface of that zone. Returns the error, if any, and never throws. */
  join(group: string, zone: string): Error | undefined;
  /** Closes the socket; calls in progress end. It may be called again. */
  close(): Promise<void>;
}

const isDeno = process.versions['deno'] !== undefined;

/** The most attempts to send one datagram while the system reports errors of earlier ones. */
const MAX_TRIES = 3;

/**
 * Opens a socket.
 * @throws the system's error (`EADDRINUSE`, `EADDRNOTAVAIL`, `EAFNOSUPPORT`).
 */
export async function openUdp(options: UdpOptions): Promise<UdpSocket> {
  const socket = createSocket({
    type: options.family === 4 ? 'udp4' : 'udp6',
    reuseAddr: options.reuse ?? false,
    ipv6Only: options.family === 6,
  });
  await bind(socket, options.port ?? 0, options.address);
  socket.on('error', (error) => options.onError?.(error));
  socket.on('message', (data, from) => {
    options.onMessage(data, { address: from.address, port: from.port });
  });
  if (options.broadcast === true) socket.setBroadcast(true);
  const { receiveBuffer } = options;
  // If it is impossible, the system's own size has to do. Deno does not tell the system. Instead, it makes a buffer
  // of that size for each datagram: with 8 MiB that takes a millisecond.
  if (receiveBuffer !== undefined && !isDeno) attempt(() => socket.setRecvBufferSize(receiveBuffer));
  const unsent = new Set<(error: Error) => void>();
  const sendOnce = (datagram: Uint8Array, to: UdpPeer): Promise<Error | undefined> =>
    new Promise((resolve) => {
      const settle = (error?: Error | null): void => {
        unsent.delete(settle);
        resolve(error ?? undefined);
      };
      unsent.add(settle);
      const thrown = attempt(() => socket.send(datagram, to.port, to.address, settle));
      if (thrown !== undefined) settle(thrown);
    });
  const close = (): Promise<void> => {
    // A send in progress when its socket closes may never call back.
    for (const settle of unsent) settle(new Error('The socket was closed'));
    return new Promise((resolve) => socket.close(() => resolve()));
  };
  let closed: Promise<void> | undefined;
  return {
    port: socket.address().port,
    async send(datagram, to) {
      for (let tries = 1; ; tries++) {
        const error = await sendOnce(datagram, to);
        if (error === undefined || tries === MAX_TRIES || closed || !mayBeOfEarlier(error)) return error;
      }
    },
    join: (group, zone) => attempt(() => socket.addMembership(group, `::%${zone}`)),
    close: () => (closed ??= close()),
  };
}

/**
 * The local address from which the system would reach `to`: a look at its routes, nothing is sent. Undefined
 * without a route; `'unknown'` where the runtime does not say (Deno).
 */
export async function sourceTowards(family: 4 | 6, to: UdpPeer): Promise<string | undefined> {
  const any = family === 4 ? '0.0.0.0' : '::';
  const socket = createSocket({ type: family === 4 ? 'udp4' : 'udp6' });
  try {
    await bind(socket, 0, any);
    socket.setBroadcast(true);
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      // The callback gets the error of a failed connect, although the types leave that out.
      const settle = (error?: unknown): void => (error instanceof Error ? reject(error) : resolve());
      socket.connect(to.port, to.address, settle);
    });
    const { address } = socket.address();
    return address === any ? 'unknown' : address;
  } catch {
    return undefined;
  } finally {
    attempt(() => socket.close());
  }
}

/** The short name of a socket's error (`ENETUNREACH`), or its message where the runtime has no name. */
export function socketErrorName(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return typeof code === 'string' && code !== 'UNKNOWN' ? code : String(message ?? error);
}

/**
 * Whether the error may belong to an earlier datagram, which its receiver refused. Bun reports it with the
 * next send, to any address, and does not send that one.
 */
function mayBeOfEarlier(error: Error): boolean {
  return ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH'].includes(socketErrorName(error));
}

function bind(socket: Socket, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      // Some runtimes close a socket whose bind failed, and throw when it is closed again.
      attempt(() => socket.close());
      reject(error);
    };
    socket.once('error', fail);
    socket.bind(port, address, () => {
      socket.off('error', fail);
      resolve();
    });
  });
}

function attempt(action: () => void): Error | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
