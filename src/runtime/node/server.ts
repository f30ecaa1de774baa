import { getRequestListener } from '@hono/node-server';
import type { IncomingMessage } from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { plainAddress } from '../../protocol/addresses/address.ts';
import { oneAtATime } from './pipelining.ts';
import { type Connections, watchConnections } from './connections.ts';
import { type ConnectionInfo, UNREAD_TIMEOUT_MS } from '../../protocol/connection.ts';
import type { HttpServer, ServeOptions } from '../runtime.ts';
import { BACKLOG, createRefusals } from '../http/server-limits.ts';

/** The difference between runtimes. */
interface Differences {
  /** The cipher suites that it takes, as OpenSSL names them; default: those of the runtime. */
  readonly ciphers?: string;
  /**
   * Whether it stops accepting for good, without an error, once no descriptor was left for a connection.
   * Default: false.
   */
  readonly acceptDies?: boolean;
}

/** The pause before it listens again after that, in milliseconds. */
const REVIVE_MS = 250;

/**
 * Serves through `node:https`. Deno uses it as well: `Deno.serve` accepts a request without a Host header,
 * and keeps slow clients forever.
 */
export async function serveNode(
  options: ServeOptions,
  { acceptDies = false, ciphers }: Differences = {},
): Promise<HttpServer> {
  const listener = getRequestListener((request, env) =>
    options.fetch(request, new NodeConnection(env.incoming as IncomingMessage)),
  );
  const refusals = createRefusals();
  const server = https.createServer(
    {
      cert: options.cert,
      key: options.key,
      minVersion: 'TLSv1.2',
      ...(ciphers !== undefined && { ciphers }),
      noDelay: true,
      handshakeTimeout: options.headersTimeoutMs,
      maxHeaderSize: 16 * 1024,
      headersTimeout: options.headersTimeoutMs,
      requestTimeout: options.requestTimeoutMs,
      connectionsCheckingInterval: 1000,
    },
    oneAtATime((incoming, outgoing) => {
      connections.requested(incoming.socket);
      // Node 20 and Deno silently drop headers beyond `maxHeadersCount`.
      if (incoming.rawHeaders.length > 2 * MAX_HEADERS)
        return refuse({ code: 'HPE_HEADER_OVERFLOW' }, incoming.socket);
      // All runtimes use the first Host header, and a proxy before them may use the last.
      if (hostsOf(incoming) > 1) return refuse({}, incoming.socket);
      return listener(incoming, outgoing);
    }),
  );
  const { maxConnections: max = Infinity, otherConnections = () => 0 } = options;
  const present = (): number => max - otherConnections();
  const connections = watchConnections(server, {
    max: present,
    headersTimeoutMs: options.headersTimeoutMs,
    unreadTimeoutMs: options.unreadTimeoutMs ?? UNREAD_TIMEOUT_MS,
    onRefused() {
      refusals.note();
      acceptMayBeDead = acceptDies;
    },
  });
  let acceptMayBeDead = false;
  server.maxHeadersCount = MAX_HEADERS + 1;
  server.on('clientError', refuse);
  const hostname = await listen(server, options);
  const { port } = server.address() as AddressInfo;
  const reviving = acceptDies ? setInterval(revive, REVIVE_MS).unref() : undefined;

  function revive(): void {
    if (!acceptMayBeDead || connections.count >= present() * 0.9) return;
    acceptMayBeDead = false;
    server.close();
    // If another program has taken the port meanwhile, the broker's self-check reports it.
    attempt(server, port, hostname).catch(() => (acceptMayBeDead = true));
  }

  return {
    port,
    refusing: () => refusals.recent(),
    connections: () => connections.count,
    close(graceMs) {
      clearInterval(reviving);
      return close(server, connections, graceMs);
    },
  };
}

function hostsOf({ rawHeaders }: IncomingMessage): number {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++;
  }
  return hosts;
}

/** The most headers of a request: as many as Bun accepts. */
const MAX_HEADERS = 198;

const refusals: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** Answers a malformed request, and closes: Deno would close without an answer. */
function refuse(error: { readonly code?: string | undefined }, socket: Duplex): void {
  if (!socket.writable || socket.destroyed || error.code === 'ECONNRESET') return void socket.destroy();
  const status = refusals[error.code ?? ''] ?? '400 Bad Request';
  // The server closes it, since the client may never do so.
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => socket.destroy());
}

// It is a class, since each request makes one, and most of its methods are rarely used.
class NodeConnection implements ConnectionInfo {
  readonly #incoming: IncomingMessage;

  constructor(incoming: IncomingMessage) {
    this.#incoming = incoming;
  }

  get remoteAddress(): string {
    return plainAddress(this.#incoming.socket.remoteAddress ?? '');
  }

  // Headers and request have separate time limits here, which end with the request's last byte.
  awaitBody(): void {}
  keepOpen(): void {}
  answered(): void {}

  drop(): boolean {
    this.#incoming.socket.destroy();
    return true;
  }
}

/** Listens, and returns the address. */
async function listen(server: https.Server, { hostname, port }: ServeOptions): Promise<string> {
  if (hostname !== '') return attempt(server, port, hostname);
  try {
    return await attempt(server, port, '::');
  } catch (error) {
    // A host without IPv6 refuses the dual-stack address.
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EAFNOSUPPORT' && code !== 'EADDRNOTAVAIL' && code !== 'EINVAL') throw error;
    return attempt(server, port, '0.0.0.0');
  }
}

function attempt(server: https.Server, port: number, hostname: string): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, hostname, BACKLOG, () => {
      server.off('error', reject);
      resolve(hostname);
    });
  });
}

async function close(server: https.Server, connections: Connections, graceMs: number): Promise<void> {
  connections.unwatch();
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  connections.closeSilent();
  server.closeIdleConnections();
  // Closes connections that have become idle: Node would wait for their clients, or for its own idle limit.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  const timer = setTimeout(() => connections.destroyAll(), graceMs);
  await closed;
  clearInterval(idle);
  clearTimeout(timer);
}
