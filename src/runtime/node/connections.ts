import type https from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';

/** The connections of a server, from the TCP connection on: `node:https` itself knows those alone that carry a request. */
export interface Connections {
  /** How many are open. */
  readonly count: number;
  /** Says that the headers of a request have come in on this connection. */
  requested(socket: Duplex): void;
  /** Ends those on which no request has come yet. */
  closeSilent(): void;
  /** No longer looks for answers that are not read. */
  unwatch(): void;
  /** Ends every one of them. */
  destroyAll(): void;
}

export interface ConnectionLimits {
  /** How many may be open; one more is closed at once. */
  readonly max: number;
  /** How long a connection may take for its handshake, and then for the headers of its first request. */
  readonly headersTimeoutMs: number;
  /** A connection on which something waits to be read, and nothing of it is read for so long, is closed. */
  readonly unreadTimeoutMs: number;
  /** Told of each connection that was closed because there were too many. */
  onRefused(): void;
}

/** What is waiting to be sent on a connection, and when that last changed. */
interface Sending {
  waiting: number;
  written: number;
  since: number;
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}

/** Longest between two looks at what is waiting to be sent. */
const LOOK_MS = 1000;

/** Watches over the connections of `server`, which must not listen yet. */
export function watchConnections(server: https.Server, limits: ConnectionLimits): Connections {
  const raw = new Set<Socket>();
  /** Those whose handshake is not complete, by the address that they are from. */
  const shaking = new Map<string, Socket>();
  const silent = new Map<Duplex, NodeJS.Timeout>();
  const secure = new Map<TLSSocket, Sending>();

  server.on('connection', (socket: Socket) => {
    if (raw.size >= limits.max) {
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
  // Node forgets nothing of its own here, but Deno leaves a connection open whose handshake failed.
  server.on('tlsClientError', (_error, socket) => socket.destroy());
  server.on('secureConnection', (socket) => {
    // What a client may ask for in TLS 1.2 costs the server far more than the client.
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
