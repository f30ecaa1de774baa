import type { X509Certificate } from 'node:crypto';
import type { HostPort } from '../../protocol/addresses/address.ts';
import { toPem } from '../../protocol/formats/pem.ts';
import { untilAborted } from '../../protocol/until-aborted.ts';
import { connectFailure } from './connect-failure.ts';
import { connectFirst } from '../network/happy-eyeballs.ts';
import { checkZone, closedByPeer, codeOf, unreachable } from '../network/connection-errors.ts';
import type { PeerCertificate } from '../runtime.ts';
import { isForHost } from '../tls/host-name.ts';

/** A TLS connection as a stream of bytes. */
export interface BunSocket {
  readonly certificate: PeerCertificate;
  /** Whether one of the given authorities has signed the certificate for that name; false without any. */
  isVouchedFor(host: string): boolean;
  readonly open: boolean;
  /** Sets the receiver of further data. While there is none, any data closes the connection. */
  receive(receiver: Receiver | undefined): void;
  write(bytes: Uint8Array): void;
  /** Stops reading until `resume`, so that the peer waits. */
  pause(): void;
  resume(): void;
  close(): void;
}

/** The inputs of a handshake. */
export interface Handshake {
  /**
   * The certificate that the peer will probably present, in PEM. With it, Bun need not load the system's
   * authorities.
   */
  readonly expected?: string | undefined;
  /** The only trusted authorities, in PEM, and the name to check; default: no certificate is trusted. */
  readonly verified?: { readonly authorities: readonly string[]; readonly host: string } | undefined;
}

export interface Receiver {
  data(bytes: Buffer): void;
  /** No more data follows. */
  closed(error: unknown): void;
}

// Bun's types leave these out.
type Socket = Bun.Socket<unknown> & { pause(): void; resume(): void };

// Bun's errors about a certificate (OpenSSL's names) after a complete handshake. Any other error is one of
// the handshake.
const verdicts =
  /^(?:UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|CERT_|ERR_TLS_CERT_|HOSTNAME_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_)/;

/**
 * Opens a TLS connection with `Bun.connect` to the first of a host's addresses that accepts it; see {@link
 * connectAddress}. Names are looked up each time: Bun's own cache lasts half a minute, in which a broker may
 * have moved.
 * @throws BrokerError `unreachable`; the reason of an aborted `signal`.
 */
export async function connectBun(
  address: HostPort,
  signal?: AbortSignal,
  handshake: Handshake = {},
): Promise<BunSocket> {
  signal?.throwIfAborted();
  await checkZone(address);
  // The system's resolver cannot be cancelled, and a silent name server takes it many seconds.
  const hosts = await untilAborted(lookUp(address), signal);
  if (hosts.length === 1) return connectAddress(address, hosts[0] ?? '', signal, handshake);
  return connectFirst(
    hosts,
    async (host, ended) =>
      connectAddress(address, host, signal ? AbortSignal.any([signal, ended]) : ended, handshake),
    (socket) => socket.close(),
  );
}

/** The present addresses of a host. */
async function lookUp(address: HostPort): Promise<readonly string[]> {
  const { host } = address;
  if (host.includes(':') || /^[\d.]+$/.test(host)) return [host];
  try {
    const found = await Bun.dns.lookup(host, { backend: 'system' } as object);
    return [...new Set(found.map((one) => one.address))];
  } catch (error) {
    throw unreachable(address, error);
  }
}

/**
 * Opens a TLS connection with `Bun.connect`, with any certificate: the caller checks it before it sends
 * anything. (A client command has no time for `node:tls`, or for Bun's `fetch`, which first reads all
 * authorities of the system.)
 * @param host an IP address of the peer.
 * @throws BrokerError `unreachable`; the reason of an aborted `signal`.
 */
async function connectAddress(
  address: HostPort,
  host: string,
  signal: AbortSignal | undefined,
  { expected, verified }: Handshake,
): Promise<BunSocket> {
  signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<BunSocket>();
  let dialled: Bun.Socket<unknown> | undefined;
  const abort = (): void => {
    reject(signal?.reason);
    dialled?.terminate();
  };
  let own: OwnSocket | undefined;
  const ended = (error: unknown): void => {
    const reason = error ?? closedByPeer();
    if (own) own.ended(reason);
    else reject(unreachable(address, reason));
  };
  const handlers: Bun.SocketHandler = {
    open(socket) {
      dialled = socket;
      // Bun cannot cancel an attempt to connect; the late connection is closed.
      if (signal?.aborted) socket.terminate();
    },
    handshake(socket, success, error) {
      // A certificate is there even when the peer did not prove that it has the key.
      const complete = success || verdicts.test(codeOf(error) ?? '');
      const presented = complete ? socket.getPeerX509Certificate() : undefined;
      if (!presented) return reject(unreachable(address, error));
      own = new OwnSocket(socket, presented, verified !== undefined && socket.authorized && !error);
      resolve(own);
    },
    data: (_, bytes) => own?.received(bytes),
    drain: () => own?.drained(),
    error: (_, error) => ended(error),
    close: (_, error) => ended(error),
  };
  signal?.addEventListener('abort', abort, { once: true });
  try {
    const began = performance.now();
    dial({ host, port: address.port }, handlers, { expected, verified }).catch(async (error: unknown) => {
      const cause = await connectFailure({ host, port: address.port }, error, performance.now() - began);
      reject(unreachable(address, cause));
    });
    return await promise;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}

async function dial(
  { host: hostname, port }: HostPort,
  socket: Bun.SocketHandler,
  { expected, verified }: Handshake,
): Promise<void> {
  const connect = (more: { ca?: string; serverName?: string }): Promise<unknown> =>
    Bun.connect({
      hostname,
      port,
      tls: { serverName: 'bpbroker', rejectUnauthorized: false, ...more },
      socket,
    });
  if (verified) {
    const serverName = verified.host.replace(/\.$/, '');
    await connect({ ca: verified.authorities.join('\n'), serverName });
    return;
  }
  try {
    await connect(expected === undefined ? {} : { ca: expected });
  } catch (error) {
    // The given text is not a certificate.
    if (expected === undefined || codeOf(error) !== 'ERR_BORINGSSL') throw error;
    await connect({});
  }
}

class OwnSocket implements BunSocket {
  readonly certificate: PeerCertificate;
  readonly #socket: Socket;
  readonly #presented: X509Certificate;
  readonly #isAuthorized: boolean;
  #receiver: Receiver | undefined;
  #unsent: Uint8Array | undefined;
  #open = true;

  constructor(socket: Socket, presented: X509Certificate, isAuthorized: boolean) {
    this.#socket = socket;
    this.#presented = presented;
    this.#isAuthorized = isAuthorized;
    this.certificate = {
      fingerprint: presented.fingerprint256.replaceAll(':', '').toLowerCase(),
      // Computed on demand, since few callers need it.
      get certificate(): string {
        return toPem(presented.raw.toString('base64'));
      },
    };
  }

  isVouchedFor(host: string): boolean {
    return this.#isAuthorized && isForHost(this.#presented, host);
  }

  get open(): boolean {
    return this.#open;
  }

  write(bytes: Uint8Array): void {
    if (this.#unsent) this.#unsent = Buffer.concat([this.#unsent, bytes]);
    else this.#send(bytes);
  }

  drained(): void {
    if (this.#unsent) this.#send(this.#unsent);
  }

  received(bytes: Buffer): void {
    if (this.#receiver) this.#receiver.data(bytes);
    else this.close();
  }

  receive(receiver: Receiver | undefined): void {
    this.#receiver = receiver;
    // It may have ended before there was a receiver.
    if (!this.#open) receiver?.closed(closedByPeer());
  }

  ended(reason: unknown): void {
    this.#open = false;
    this.#receiver?.closed(reason);
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  close(): void {
    this.#open = false;
    this.#socket.terminate();
  }

  #send(bytes: Uint8Array): void {
    // A closed socket returns a negative number, and reports its end through `ended`.
    const taken = Math.max(0, this.#socket.write(bytes));
    this.#unsent = taken < bytes.length ? bytes.subarray(taken) : undefined;
  }
}
