import http from 'node:http';
import type { Duplex } from 'node:stream';
import type { HostPort } from '../protocol/address.ts';
import { MAX_TIMER_MS } from '../protocol/duration.ts';
import { unreachable } from './connection-errors.ts';
import type { Exchange, ExchangeAnswer } from './runtime.ts';
import { certificateOf, connectUnverified } from './verified-socket.ts';

/** See `Runtime.exchange`. */
export async function exchange(address: HostPort, request: Exchange): Promise<ExchangeAnswer> {
  const limit = new AbortController();
  const late = Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' });
  const timer = setTimeout(
    () => limit.abort(unreachable(address, late)),
    Math.min(request.timeoutMs, MAX_TIMER_MS),
  );
  try {
    const socket = await connectUnverified(address, limit.signal);
    try {
      // Before anything is written, and from this very socket: another connection may end elsewhere.
      const certificate = certificateOf(socket);
      request.accept(certificate.fingerprint);
      return { certificate, ...(await post(address, socket, request, limit.signal)) };
    } finally {
      socket.destroy();
    }
  } finally {
    clearTimeout(timer);
  }
}

function post(
  address: HostPort,
  socket: Duplex,
  { path, body, maxBytes }: Exchange,
  signal: AbortSignal,
): Promise<Pick<ExchangeAnswer, 'status' | 'body'>> {
  const agent = new http.Agent({ keepAlive: false });
  agent.createConnection = (_options, callback) => {
    callback?.(null, socket);
    return undefined;
  };
  return new Promise((resolve, reject) => {
    const fail = (error: unknown): void =>
      reject(signal.aborted ? signal.reason : unreachable(address, error));
    const { host, port } = address;
    const headers = { 'content-type': 'application/octet-stream', 'content-length': body.length };
    const outgoing = http.request({ agent, host, port, method: 'POST', path, headers, signal });
    outgoing.once('error', fail);
    outgoing.once('response', (incoming) => {
      readAtMost(incoming, maxBytes).then(
        (bytes) => resolve({ status: incoming.statusCode ?? 0, body: bytes }),
        fail,
      );
    });
    outgoing.end(body);
  });
}

/** The body, or nothing of it when it is longer: whoever answers may never stop. */
async function readAtMost(incoming: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of incoming) {
    size += chunk.length;
    if (size > maxBytes) return new Uint8Array();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
