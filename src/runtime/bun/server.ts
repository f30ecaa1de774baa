import { plainAddress } from '../../protocol/addresses/address.ts';
import { extendBacklog } from './backlog.ts';
import { openDescriptors } from '../system/descriptors.ts';
import type { ConnectionInfo } from '../../protocol/connection.ts';
import type { HttpServer, ServeOptions } from '../runtime.ts';
import { AEAD_CIPHERS, BACKLOG, createRefusals } from '../http/server-limits.ts';

type Server = Bun.Server<undefined>;

/** The pause between two counts of open connections, in milliseconds. */
const LOOK_MS = 250;

/**
 * How many times in a row, and at what interval, a closing server must have no requests before its
 * connections are cut.
 */
const QUIET_LOOKS = 3;
const QUIET_MS = 50;

/**
 * Serves through `Bun.serve`. Bun reports requests and not connections. When no descriptor is left, it keeps
 * accepting in a loop that uses a whole core. So this server counts open descriptors, and stops listening
 * before that.
 */
export function serveBun(options: ServeOptions): HttpServer {
  const { maxConnections: max = Infinity, otherDescriptors: base = openDescriptors() } = options;
  const refusals = createRefusals();
  let listening: Server | undefined = listen(options, tooMany);
  const { port = options.port, hostname = options.hostname } = listening;
  /** Servers that no longer listen but have requests to answer. */
  const ending = new Map<Server, Promise<void>>();
  /** The number at the last count; undefined where no count is needed. */
  let connections: number | undefined;
  const looking = max === Infinity ? undefined : setInterval(look, LOOK_MS).unref();

  function tooMany(): boolean {
    if (max === Infinity) return false;
    if (requests() <= max) return false;
    refuse();
    return true;
  }

  /** The number of requests in progress. */
  function requests(): number {
    let count = listening?.pendingRequests ?? 0;
    for (const server of ending.keys()) count += server.pendingRequests;
    return count;
  }

  function refuse(): void {
    refusals.note();
    stopListening();
  }

  /** Requests in progress continue; idle connections are closed. */
  function stopListening(): void {
    if (!listening) return;
    const server = listening;
    listening = undefined;
    ending.set(
      server,
      server.stop(false).finally(() => ending.delete(server)),
    );
  }

  function look(): void {
    connections = openDescriptors() - base;
    if (connections >= max) refuse();
    else if (!listening && connections < max * 0.9) listening = listenAgain();
  }

  function listenAgain(): Server | undefined {
    try {
      return serveOn(hostname, { ...options, port }, tooMany);
    } catch {
      // Another program has taken the port. The broker's self-check reports it until the port is free again.
      return undefined;
    }
  }

  return {
    port,
    refusing: () => refusals.recent(),
    connections: () => connections,
    async close(graceMs) {
      clearInterval(looking);
      stopListening();
      const servers = [...ending.keys()];
      const cut = (): void => {
        // This also closes connections without a request, which a stop with grace leaves open.
        for (const server of servers) void server.stop(true);
      };
      let quiet = 0;
      const timer = setTimeout(cut, graceMs);
      // Bun would also wait for idle connections. The last answer gets a moment to leave.
      const looks = setInterval(() => {
        quiet = requests() === 0 ? quiet + 1 : 0;
        if (quiet > QUIET_LOOKS) cut();
      }, QUIET_MS);
      await Promise.all(ending.values());
      clearTimeout(timer);
      clearInterval(looks);
      cut();
    },
  };
}

function listen(options: ServeOptions, tooMany: () => boolean): Server {
  if (options.hostname !== '') return serveOn(options.hostname, options, tooMany);
  try {
    return serveOn('::', options, tooMany);
  } catch (error) {
    // A host without IPv6 refuses the dual-stack address; Bun reports that as a port in use, so both are
    // tried.
    try {
      return serveOn('0.0.0.0', options, tooMany);
    } catch {
      throw error;
    }
  }
}

function serveOn(hostname: string, options: ServeOptions, tooMany: () => boolean): Server {
  const server = Bun.serve({
    hostname,
    port: options.port,
    tls: { cert: options.cert, key: options.key, ciphers: AEAD_CIPHERS },
    maxRequestBodySize: options.maxBodyBytes,
    // Cuts off a client that has not sent all headers, stalls, or does not read, within that time.
    idleTimeout: Math.ceil(options.headersTimeoutMs / 1000),
    development: false,
    // This is explicit: with `development` off, Bun would let a second broker listen on the same port.
    reusePort: false,
    fetch(request, bun) {
      if (tooMany()) return new Response(null, { status: 503, headers: { 'retry-after': '1' } });
      // With a malformed Host or without one, Bun's URL is only a path, which URL parsers misread.
      if (!request.url.startsWith('https://')) return new Response(null, { status: 400 });
      // Bun joins two Host headers. A proxy before the broker may have used either.
      if (request.headers.get('host')?.includes(','))
        return new Response(null, { status: 400, headers: { connection: 'close' } });
      return options.fetch(request, new BunConnection(request, bun, options));
    },
  });
  if (server.port !== undefined) extendBacklog(server.port, BACKLOG);
  return server;
}

// It is a class, since each request makes one, and most of its methods are rarely used.
class BunConnection implements ConnectionInfo {
  readonly #request: Request;
  readonly #server: Server;
  readonly #requestSeconds: number;
  readonly #idleSeconds: number;

  constructor(request: Request, server: Server, options: ServeOptions) {
    this.#request = request;
    this.#server = server;
    this.#requestSeconds = Math.ceil(options.requestTimeoutMs / 1000);
    this.#idleSeconds = Math.ceil(options.headersTimeoutMs / 1000);
  }

  get remoteAddress(): string {
    return plainAddress(this.#server.requestIP(this.#request)?.address ?? '');
  }

  awaitBody(): void {
    this.#server.timeout(this.#request, this.#requestSeconds);
  }

  keepOpen(): void {
    this.#server.timeout(this.#request, 0);
  }

  answered(): void {
    this.#server.timeout(this.#request, this.#idleSeconds);
  }

  drop(): boolean {
    // Bun does not expose the socket; an idle one is closed after its timeout.
    this.#server.timeout(this.#request, 1);
    return true;
  }
}
