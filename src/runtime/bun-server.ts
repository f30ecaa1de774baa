import { plainAddress } from '../protocol/address.ts';
import type { ConnectionInfo, HttpServer, ServeOptions } from './runtime.ts';

type Server = Bun.Server<undefined>;

/** Serves through `Bun.serve`. */
export function serveBun(options: ServeOptions): HttpServer {
  const server = listen(options);
  return {
    port: server.port ?? options.port,
    async close(graceMs) {
      const timer = setTimeout(() => void server.stop(true), graceMs);
      await server.stop(false);
      clearTimeout(timer);
    },
  };
}

function listen(options: ServeOptions): Server {
  if (options.hostname !== '') return serveOn(options.hostname, options);
  try {
    return serveOn('::', options);
  } catch (error) {
    // A host without IPv6 refuses the dual-stack address; Bun reports that as a port in use, so both are tried.
    try {
      return serveOn('0.0.0.0', options);
    } catch {
      throw error;
    }
  }
}

function serveOn(hostname: string, options: ServeOptions): Server {
  return Bun.serve({
    hostname,
    port: options.port,
    tls: { cert: options.cert, key: options.key },
    maxRequestBodySize: options.maxBodyBytes,
    // Cuts off whoever has not sent all headers, or stalls, in that time.
    idleTimeout: Math.ceil(options.headersTimeoutMs / 1000),
    development: false,
    // Said outright: with `development` off, Bun would let a second broker listen on the same port.
    reusePort: false,
    fetch(request, bun) {
      // With a Host that is none, or without one, Bun gives the URL as a path alone, which readers of URLs misread.
      if (!request.url.startsWith('https://')) return new Response(null, { status: 400 });
      return options.fetch(request, new BunConnection(request, bun, options));
    },
  });
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
