import type https from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

/**
 * The connections of a server, from the TCP connection on: `node:https` itself knows only those with a
 * request.
 */
export interface Connections {
  /** The number of open connections. */
  readonly count: number;
  /** Notes that the headers of a request have arrived on this connection. */
  requested(socket: Duplex): void;
  /** Ends the connections without a request so far. */
  closeSilent(): void;
  /** Stops checking for answers that are not read. */
  unwatch(): void;
  /** Ends every connection. */
  destroyAll(): void;
}

export interface ConnectionLimits {
  /** The most open connections at present; one more is closed at once. */
  readonly max: () => number;
  /**
   * The longest time of a connection for its handshake, and then for the headers of its first request, in
   * milliseconds.
   */
  readonly headersTimeoutMs: number;
  /** A connection with data to read is closed when nothing of it was read for so many milliseconds. */
  readonly unreadTimeoutMs: number;
  /** Called for each connection that was closed because there were too many. */
  onRefused(): void;
}

/** The data that waits to be sent on a connection, and the time of its last change. */
interface Sending {
  waiting: number;
  written: number;
  since: number;
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** The longest pause between two checks of the data that waits, in milliseconds. */
const LOOK_MS = 1000;

/** Watches the connections of `server`, which must not listen yet. */
export function watchConnections(server: https.Server, limits: ConnectionLimits): Connections {
  const raw = new Set<Socket>();
  /** Connections whose handshake is not complete, by their address. */
  const shaking = new Map<string, Socket>();
  const silent = new Map<Duplex, NodeJS.Timeout>();
  const secure = new Map<TLSSocket, Sending>();

  server.on('connection', (socket: Socket) => {
    if (raw.size >= limits.max()) {
      socket.destroy();
      limits.onRefused();
      return;
    }
    raw.add(socket);
    const peer = peerOf(socket);
    shaking.set(peer, socket);
    socket.once('close', () => {
      raw.delete(socket);
      if (shaking.get(peer) === socket) shaking.delete(peer);
    });
  });
  // Node closes it by itself, but Deno leaves a connection open whose handshake failed.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.on('secureConnection', (socket) => {
    // In TLS 1.2, a client could renegotiate, which costs the server far more than the client.
    socket.disableRenegotiation();
    shaking.delete(peerOf(socket));
    secure.set(socket, { waiting: 0, written: 0, since: 0 });
    silent.set(
      socket,
      setTimeout(() => socket.destroy(), limits.headersTimeoutMs),
    );
    socket.once('close', () => {
      requested(socket);
      secure.delete(socket);
    });
  });

  function requested(socket: Duplex): void {
    clearTimeout(silent.get(socket));
    silent.delete(socket);
  }

  function look(): void {
    const now = performance.now();
    for (const [socket, sending] of secure) {
      const { writableLength: waiting, bytesWritten: written } = socket;
      if (waiting === 0 || waiting !== sending.waiting || written !== sending.written)
        Object.assign(sending, { waiting, written, since: now });
      else if (now - sending.since >= limits.unreadTimeoutMs) socket.destroy();
    }
  }
  const looking = setInterval(look, Math.min(LOOK_MS, limits.unreadTimeoutMs / 4)).unref();

  return {
    get count() {
      return raw.size;
    },
    requested,
    closeSilent() {
      for (const socket of silent.keys()) socket.destroy();
      for (const socket of shaking.values()) socket.destroy();
    },
    unwatch: () => clearInterval(looking),
    destroyAll() {
      for (const socket of secure.keys()) socket.destroy();
      for (const socket of raw) socket.destroy();
    },
  };
}
