import type { AddressInfo } from 'node:net';
import tls from 'node:tls';
import { makeCertificate } from '../../support/network/certificate.ts';
import { atEnd } from '../../support/cleanup.ts';

/** What a TLS server that is no broker was sent, over all of its connections. */
export interface Recorder {
  readonly port: number;
  readonly fingerprint: string;
  /** Application data, decrypted. */
  received(): string;
  /** How many TCP connections were made to it. */
  connections(): number;
  close(): Promise<void>;
}

/** Starts one; port 0: any free one. */
export async function record(port = 0): Promise<Recorder> {
  const { cert, key, fingerprint } = await makeCertificate();
  let received = '';
  let connections = 0;
  const server = tls.createServer({ cert, key }, (socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1');
      socket.end('HTTP/1.1 500 Oops\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}');
    });
  });
  server.on('connection', () => connections++);
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  atEnd(() => server.close());
  return {
    port: (server.address() as AddressInfo).port,
    fingerprint: `sha256:${fingerprint}`,
    received: () => received,
    connections: () => connections,
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
