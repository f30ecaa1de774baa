import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { LeafPair } from './authority.ts';
import { atEnd } from '../cleanup.ts';

/** A reverse proxy that ends TLS with a certificate of its own, as those in front of services do. */
export interface TlsProxy {
  readonly port: number;
  /** The requests that came in: path and headers. */
  readonly requests: readonly { readonly path: string; readonly headers: IncomingMessage['headers'] }[];
  /** Answers requests itself from now on; nothing: forwards them again. */
  answer(own: ((incoming: IncomingMessage, outgoing: ServerResponse) => void) | undefined): void;
  /** Ends every connection and listens no more. May be called twice. */
  close(): Promise<void>;
}

export interface TlsProxyOptions {
  readonly certificate: LeafPair;
  /** Port of the broker on loopback. */
  readonly to: number;
  /** Cut off the path that is forwarded; other paths are answered 404. Default: none. */
  readonly prefix?: string;
  /** Default: any free one. */
  readonly port?: number;
}

/** Starts a proxy on 127.0.0.1, which is closed at the latest when the tests of the file have ended. */
export async function startTlsProxy({
  certificate,
  to,
  prefix = '',
  port = 0,
}: TlsProxyOptions): Promise<TlsProxy> {
  const requests: { path: string; headers: IncomingMessage['headers'] }[] = [];
  let own: ((incoming: IncomingMessage, outgoing: ServerResponse) => void) | undefined;
  const open = new Set<Socket>();
  const server = createServer(certificate, (incoming, outgoing) => {
    const { url = '', headers } = incoming;
    requests.push({ path: url, headers });
    if (own) own(incoming, outgoing);
    else if (!url.startsWith(`${prefix}/`)) page(outgoing, 404);
    else forward(incoming, outgoing, { to, path: url.slice(prefix.length) });
  });
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.on('tlsClientError', () => undefined);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const close = async (): Promise<void> => {
    for (const socket of open) socket.destroy();
    if (server.listening) await new Promise((resolve) => server.close(resolve));
  };
  atEnd(close);
  return {
    port: (server.address() as AddressInfo).port,
    requests,
    answer: (next) => {
      own = next;
    },
    close,
  };
}

function forward(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { to, path }: { readonly to: number; readonly path: string },
): void {
  const { method, headers } = incoming;
  const onward = request({ host: '127.0.0.1', port: to, path, method, headers, rejectUnauthorized: false });
  onward.once('response', (response) => {
    outgoing.writeHead(response.statusCode ?? 0, response.headers);
    response.pipe(outgoing);
    response.once('error', () => outgoing.destroy());
  });
  onward.once('error', () => (outgoing.headersSent ? outgoing.destroy() : page(outgoing, 502)));
  outgoing.once('close', () => onward.destroy());
  incoming.pipe(onward);
}

/** What proxies answer themselves. */
export function page(outgoing: ServerResponse, status: number): void {
  outgoing.writeHead(status, { 'content-type': 'text/html' });
  outgoing.end(`<html><head><title>${status}</title></head><body>an answer of the proxy</body></html>`);
}
