import { createHash, randomUUID } from 'node:crypto';
import tls from 'node:tls';
import type { HostPort } from '../../protocol/addresses/address.ts';
import { toPem } from '../../protocol/formats/pem.ts';
import { checkZone, closedByPeer, unreachable } from '../network/connection-errors.ts';
import type { ChannelOptions, PeerCertificate } from '../runtime.ts';

/**
 * A TLS connection whose certificate is the pinned one. The certificate is compared before the socket is
 * returned, so nothing can have been written to it. `checkServerIdentity` is not enough, since no runtime
 * calls it in every case.
 */
export async function connectVerified(options: ChannelOptions, signal?: AbortSignal): Promise<tls.TLSSocket> {
  const socket = await connectUnverified(options, signal);
  const presented = certificateOf(socket).fingerprint;
  if (presented === options.pin.fingerprint) return socket;
  socket.destroy();
  throw options.mismatch(presented);
}

/**
 * A TLS connection to an unverified peer at `address`: no secret may be written to it.
 * @param more options of the handshake; default: a name that no host has.
 */
export async function connectUnverified(
  address: HostPort,
  signal?: AbortSignal,
  more: tls.ConnectionOptions = {},
): Promise<tls.TLSSocket> {
  await checkZone(address);
  const { promise, resolve, reject } = withResolvers<tls.TLSSocket>();
  signal?.throwIfAborted();
  const socket = tls.connect({
    host: address.host,
    port: address.port,
    // Deno resumes sessions by this name, even across servers of one process, and a resumed session shows the
    // certificate of its first handshake. So no name is used twice. It has no effect on the check.
    servername: `${randomUUID()}.bpbroker`,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.2',
    ...more,
  });
  socket.setNoDelay(true);
  const abort = (): void => {
    socket.destroy();
    reject(signal?.reason);
  };
  const fail = (error: unknown): void => reject(unreachable(address, error));
  const closed = (): void => fail(closedByPeer());
  signal?.addEventListener('abort', abort, { once: true });
  socket.once('error', fail);
  socket.once('close', closed);
  socket.once('secureConnect', () => {
    signal?.removeEventListener('abort', abort);
    socket.off('error', fail);
    socket.off('close', closed);
    resolve(socket);
  });
  return promise;
}

/** The certificate that the peer has presented on an open connection. */
export function certificateOf(socket: tls.TLSSocket): PeerCertificate {
  const { raw } = socket.getPeerCertificate();
  return {
    fingerprint: createHash('sha256').update(raw).digest('hex'),
    certificate: toPem(Buffer.from(raw).toString('base64')),
  };
}

// Node 20 has no Promise.withResolvers.
function withResolvers<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (reason: unknown) => void;
} {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}
