import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import tls from 'node:tls';
import {
  deriveKeys,
  encodeKeyedReply,
  nonceOfReply,
} from '../../../src/protocol/discovery/keyed-datagrams.ts';
import type { Certificate } from '../../../src/broker/certificate.ts';

/**
 * What a host that has not the key may do with the queries it hears, to be taken for the broker. `forge`: a reply that is
 * right but for the key. `downgrade`: the open form's reply. `replay`: the broker's reply to an earlier query. `splice`:
 * that reply with the nonce of this query, or with the rogue's own certificate and address. `relay`: has the broker
 * itself answer this query, and hands its reply on from an address of its own.
 */
export type Trick = 'forge' | 'downgrade' | 'replay' | 'splice' | 'relay';
export const tricks: readonly Trick[] = ['forge', 'downgrade', 'replay', 'splice', 'relay'];

export interface RogueOptions {
  /** Its own address, which it answers from. */
  readonly address: string;
  /** Where it listens for queries, and for TLS connections; default: its own address. */
  readonly hears?: string;
  readonly port: number;
  /** Where the broker answers. */
  readonly broker: { readonly address: string; readonly port: number };
  readonly certificate: Certificate;
  /** An address of somebody else that it sends from too. */
  readonly spoofs?: string;
  /** What to try on a query for this name. */
  trick(name: string): readonly Trick[];
}

export interface Rogue {
  readonly port: number;
  /** Replies sent, by trick. */
  readonly sent: ReadonlyMap<Trick, number>;
  /** Application data that came in over TLS. */
  received(): string;
  /** TCP connections that were made to its TLS server. */
  connections(): number;
  close(): Promise<void>;
}

/** Another key: the rogue has not the right one. */
const ownKeys = deriveKeys('a rogue has a key of its own, of course'.replaceAll(' ', '-'));

export async function startRogue(options: RogueOptions): Promise<Rogue> {
  const { address, broker, certificate } = options;
  const ear = createSocket({ type: 'udp4', reuseAddr: options.hears !== undefined });
  ear.bind(options.port, options.hears ?? address);
  await once(ear, 'listening');
  const { port } = ear.address();
  const mouths = [await bound(address)];
  if (options.spoofs !== undefined) mouths.push(await bound(options.spoofs));
  const toBroker = await bound(address);
  const recorder = await startTlsServer(certificate, options.hears ?? address, port);
  const sent = new Map<Trick, number>();
  const waiting = new Map<string, (reply: Uint8Array) => void>();
  // The broker's first reply is kept, so that searches after the one it belongs to are met with an old one.
  let old: Uint8Array | undefined;
  toBroker.on('message', (message) => {
    const reply = new Uint8Array(message);
    old ??= reply;
    waiting.get(nonceOfReply(reply) ?? '')?.(reply);
  });

  const say = (trick: Trick, datagram: Uint8Array, to: { port: number; address: string }): void => {
    sent.set(trick, (sent.get(trick) ?? 0) + 1);
    for (const mouth of mouths) mouth.send(datagram, to.port, to.address);
  };

  ear.on('message', (message, from) => {
    const datagram = new Uint8Array(message);
    const { nonce = '', name = '' } = readQuery(datagram);
    const said = { id: 'rogue', port, addresses: [address], fingerprint: certificate.fingerprint };
    const chosen = options.trick(name);
    if (chosen.includes('forge')) {
      say('forge', encodeKeyedReply(ownKeys, { datagram, nonce }, said), from);
    }
    if (chosen.includes('downgrade')) say('downgrade', Buffer.from('Key Exists\n'), from);
    if (old && chosen.includes('replay')) say('replay', old, from);
    if (old && chosen.includes('splice')) {
      const oldNonce = nonceOfReply(old) ?? '';
      say(
        'splice',
        withText(old, (text) => text.replace(oldNonce, nonce)),
        from,
      );
      const ours = (text: string): string =>
        text
          .replace(oldNonce, nonce)
          .replace(/sha256:[0-9a-f]{64}/, `sha256:${certificate.fingerprint}`)
          .replace(/"addresses":\[.*\]/, `"addresses":["${address}"]`);
      say('splice', withText(old, ours), from);
    }
    // There must be one reply of the broker's to replay, too.
    if (old && !chosen.includes('relay')) return;
    waiting.set(nonce, (reply) => {
      waiting.delete(nonce);
      if (chosen.includes('relay')) say('relay', reply, from);
    });
    toBroker.send(datagram, broker.port, broker.address);
  });

  return {
    port,
    sent,
    received: recorder.received,
    connections: recorder.connections,
    async close() {
      for (const socket of [ear, ...mouths, toBroker]) socket.close();
      await recorder.close();
    },
  };
}

async function bound(address: string): Promise<UdpSocket> {
  const socket = createSocket('udp4');
  socket.bind(0, address);
  await once(socket, 'listening');
  return socket;
}

function readQuery(datagram: Uint8Array): { nonce?: string; name?: string } {
  try {
    return JSON.parse(Buffer.from(datagram.subarray(72)).toString('utf8')) as { nonce: string; name: string };
  } catch {
    return {};
  }
}

function withText(datagram: Uint8Array, change: (text: string) => string): Uint8Array {
  return Buffer.from(change(Buffer.from(datagram).toString('utf8')), 'utf8');
}

/** A TLS server that is no broker, though it may pass for one: see {@link startTlsServer}. */
export interface TlsServer {
  readonly port: number;
  /** `sha256:` and 64 hex digits. */
  readonly fingerprint: string;
  /** Application data that came in, over all connections. */
  received(): string;
  connections(): number;
  close(): Promise<void>;
}

/**
 * Records what it is sent.
 * @param answer default: as if it had understood. A port: a broker on this host is given all of it, and its answers are
 *   passed on.
 */
export async function startTlsServer(
  { cert, key, fingerprint }: Certificate,
  address: string,
  port = 0,
  answer: 'fixed' | 'silent' | number = 'fixed',
): Promise<TlsServer> {
  let received = '';
  let connections = 0;
  const server = tls.createServer({ cert, key }, (socket) => {
    socket.on('error', () => undefined);
    const further =
      typeof answer === 'number'
        ? tls.connect({ host: '127.0.0.1', port: answer, rejectUnauthorized: false })
        : undefined;
    further?.on('error', () => socket.destroy());
    further?.pipe(socket);
    socket.on('data', (bytes) => {
      received += bytes.toString('latin1');
      if (further) further.write(bytes);
      else if (answer === 'fixed')
        socket.end('HTTP/1.1 200 OK\r\nContent-Length: 16\r\nConnection: close\r\n\r\n{"success":true}');
    });
    socket.on('close', () => further?.destroy());
  });
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    connections += 1;
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  server.on('tlsClientError', () => undefined);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    fingerprint: `sha256:${fingerprint}`,
    received: () => received,
    connections: () => connections,
    close() {
      for (const socket of open) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
