import type { HostPort } from '../../protocol/addresses/address.ts';
import { MAX_TIMER_MS } from '../../protocol/formats/duration.ts';
import { unreachable } from '../network/connection-errors.ts';
import type {
  ChannelRequest,
  ChannelResponse,
  Exchange,
  ExchangeAnswer,
  PeerCertificate,
  Runtime,
} from '../runtime.ts';

/**
 * One TLS connection to an unverified peer: no secret may be sent on it before its certificate was checked.
 */
export interface PeerConnection {
  readonly certificate: PeerCertificate;
  /**
   * Sends a request; one at a time.
   * @throws BrokerError `unreachable` when the connection breaks; the reason of an aborted signal.
   */
  request(request: ChannelRequest): Promise<ChannelResponse>;
  close(): void;
}

/**
 * Opens a connection.
 * @throws BrokerError `unreachable`; the reason of an aborted signal.
 */
export type ConnectPeer = (address: HostPort, signal: AbortSignal) => Promise<PeerConnection>;

/** A runtime's functions for unverified peers, based on its own way to connect to them. */
export function peerMethods(connect: ConnectPeer): Pick<Runtime, 'peerCertificate' | 'exchange'> {
  return {
    peerCertificate: (address, timeoutMs) =>
      withPeer(connect, address, timeoutMs, async ({ certificate }) => certificate),
    exchange: (address, request) =>
      withPeer(connect, address, request.timeoutMs, (peer, signal) => exchange(peer, request, signal)),
  };
}

async function exchange(
  peer: PeerConnection,
  { path, body, maxBytes, accept }: Exchange,
  signal: AbortSignal,
): Promise<ExchangeAnswer> {
  // This comes before any data, and for this very connection: another connection may lead elsewhere.
  accept(peer.certificate.fingerprint);
  const headers = { 'content-type': 'application/octet-stream' };
  const response = await peer.request({ method: 'POST', path, headers, body, signal });
  return {
    certificate: peer.certificate,
    status: response.status,
    body: await readAtMost(response.stream(), maxBytes),
  };
}

async function withPeer<T>(
  connect: ConnectPeer,
  address: HostPort,
  timeoutMs: number,
  work: (peer: PeerConnection, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = new AbortController();
  const late = Object.assign(new Error('timed out'), { code: 'ETIMEDOUT' });
  const timer = setTimeout(() => limit.abort(unreachable(address, late)), Math.min(timeoutMs, MAX_TIMER_MS));
  try {
    const peer = await connect(address, limit.signal);
    try {
      return await work(peer, limit.signal);
    } finally {
      peer.close();
    }
  } finally {
    clearTimeout(timer);
  }
}

/** Reads the body, or nothing of a longer one: the peer may never stop. */
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
