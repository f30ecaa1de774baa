import { plainAddress } from '../../protocol/addresses/address.ts';
import { extendBacklog } from './backlog.ts';
import { openDescriptors } from '../system/descriptors.ts';
import type { ConnectionInfo } from '../../protocol/connection.ts';
import type { HttpServer, ServeOptions } from '../runtime.ts';
import { BACKLOG, createRefusals } from '../http/server-limits.ts';

type Server = Bun.Server<undefined>;

/** Between two looks at how many connections are open. */
const LOOK_MS = 250;

/** How often in a row, and how far apart, a server that closes is found without requests before its connections are cut. */
const QUIET_LOOKS = 3;
const QUIET_MS = 50;

/**
 * Serves through `Bun.serve`. It tells of requests and not of connections, and goes on to accept them when there is no
 * descriptor left, in a loop that takes a core. So what is open is counted, and it stops to listen before that.
 */
export function serveBun(options: ServeOptions): HttpServer {
  const { maxConnections: max = Infinity } = options;
  const refusals = createRefusals();
  const base = openDescriptors();
  let listening: Server | undefined = listen(options, tooMany);
  const { port = options.port, hostname = options.hostname } = listening;
  /** Those that listen no more and have requests to answer. */
  const ending = new Map<Server, Promise<void>>();
  /** At the last look; nothing where there is no need to look. */
  let connections: number | undefined;
  const looking = max === Infinity ? undefined : setInterval(look, LOOK_MS).unref();

  function tooMany(): boolean {
    if (max === Infinity) return false;
    if (requests() <= max) return false;
    refuse();
    return true;
  }

  /** Those under way. */
  function requests(): number {
    let count = listening?.pendingRequests ?? 0;
    for (const server of ending.keys()) count += server.pendingRequests;
    return count;
  }

  function refuse(): void {
    refusals.note();
    stopListening();
  }

  /** What is under way goes on; connections that rest are closed. */
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
      // Somebody has taken the port. The broker's self-check says so, until it is free again.
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
        // Also those that carry no request, which a stop with grace leaves open.
        for (const server of servers) void server.stop(true);
      };
      let quiet = 0;
      const timer = setTimeout(cut, graceMs);
      // Bun would wait for those that carry none, too. What was answered last is given a moment to leave.
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
    // A host without IPv6 refuses the dual-stack address; Bun reports that as a port in use, so both are tried.
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
    tls: { cert: options.cert, key: options.key },
    maxRequestBodySize: options.maxBodyBytes,
    // Cuts off whoever has not sent all headers, or stalls, or does not read, in that time.
    idleTimeout: Math.ceil(options.headersTimeoutMs / 1000),
    development: false,
    // Said outright: with `development` off, Bun would let a second broker listen on the same port.
    reusePort: false,
    fetch(request, bun) {
      if (tooMany()) return new Response(null, { status: 503, headers: { 'retry-after': '1' } });
      // With a Host that is none, or without one, Bun gives the URL as a path alone, which readers of URLs misread.
      if (!request.url.startsWith('https://')) return new Response(null, { status: 400 });
      // Two of them: Bun joins them. A proxy before the broker may have taken either.
      if (request.headers.get('host')?.includes(','))
        return new Response(null, { status: 400, headers: { connection: 'close' } });
      return options.fetch(request, new BunConnection(request, bun, options));
    },
  });
  if (server.port !== undefined) extendBacklog(server.port, BACKLOG);
  return server;
}

// A class, since one is made for each request and most of it is rarely asked for.
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
    // Bun gives nobody the socket; one on which nothing moves is closed when its time is up.
    this.#server.timeout(this.#request, 1);
    return true;
  }
}
