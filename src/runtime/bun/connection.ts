import { formatAddress, type HostPort } from '../../protocol/addresses/address.ts';
import { type BunSocket, connectBun, type Handshake } from './socket.ts';
import { unreachable } from '../network/connection-errors.ts';
import { IncomingBody } from '../http/incoming-body.ts';
import type { PeerConnection } from '../tls/peer.ts';
import { ResponseReader } from '../http/response-reader.ts';
import type { ChannelRequest, ChannelResponse, PeerCertificate } from '../runtime.ts';

/** The longest time that an idle connection is kept, in milliseconds: brokers close one after 10 seconds. */
const MAX_REST_MS = 5000;

/** HTTP/1.1 (RFC 9112) on one connection, one request after another. */
export class BunConnection implements PeerConnection {
  readonly #address: HostPort;
  readonly #socket: BunSocket;
  #restsSince: number | undefined = performance.now();

  private constructor(address: HostPort, socket: BunSocket) {
    this.#address = address;
    this.#socket = socket;
  }

  /** Opens a connection; see {@link connectBun}. */
  static async open(
    address: HostPort,
    signal?: AbortSignal,
    handshake: Handshake = {},
  ): Promise<BunConnection> {
    return new BunConnection(address, await connectBun(address, signal, handshake));
  }

  get certificate(): PeerCertificate {
    return this.#socket.certificate;
  }

  isVouchedFor(host: string): boolean {
    return this.#socket.isVouchedFor(host);
  }

  /** Whether it is still open; one that was idle for too long is closed now. */
  get open(): boolean {
    if (this.#restsSince !== undefined && performance.now() - this.#restsSince > MAX_REST_MS) this.close();
    return this.#socket.open;
  }

  /** Whether it can carry a request. */
  get idle(): boolean {
    return this.open && this.#restsSince !== undefined;
  }

  close(): void {
    this.#socket.close();
  }

  request(request: ChannelRequest): Promise<ChannelResponse> {
    const { promise, resolve, reject } = Promise.withResolvers<ChannelResponse>();
    const { method, signal } = request;
    const body = new IncomingBody({
      pause: () => this.#socket.pause(),
      resume: () => this.#socket.resume(),
      abandon: () => fail(new Error('the answer has no reader')),
    });
    const finish = (): void => {
      signal?.removeEventListener('abort', abort);
      this.#socket.receive(undefined);
    };
    const fail = (error: unknown): void => {
      finish();
      this.close();
      reject(error);
      body.fail(error);
    };
    const abort = (): void => fail(signal?.reason);
    const reader = new ResponseReader(method, {
      head(status, headers) {
        const header = (name: string): string | undefined => headers.get(name);
        resolve({ status, header, text: () => body.text(), stream: () => body.stream() });
      },
      body: (bytes) => body.push(bytes),
      end: (reusable) => {
        finish();
        body.end();
        if (reusable) this.#restsSince = performance.now();
        else this.close();
      },
    });
    const attempt = (work: () => void, cause?: unknown): void => {
      try {
        work();
      } catch (error) {
        fail(unreachable(this.#address, cause ?? error));
      }
    };
    this.#restsSince = undefined;
    try {
      signal?.throwIfAborted();
      const bytes = requestBytes(this.#address, request);
      signal?.addEventListener('abort', abort, { once: true });
      this.#socket.receive({
        data: (part) => attempt(() => reader.read(part)),
        closed: (error) => attempt(() => reader.close(), error),
      });
      this.#socket.write(bytes);
    } catch (error) {
      fail(error);
    }
    return promise;
  }
}

// RFC 9110, sections 5.1 and 5.5.
const isToken = /^[\w!#$%&'*+.^`|~-]+$/;
const isValue = /^[\t\x20-\x7e\x80-\xff]*$/;

function requestBytes({ host, port }: HostPort, request: ChannelRequest): Uint8Array {
  const { method, path, headers, body = '' } = request;
  if (!/^[!-~]+$/.test(path)) throw new TypeError(`Path ${JSON.stringify(path)} is not encoded`);
  // The zone of an address has a meaning only on this host (RFC 6874).
  const authority = formatAddress({ host: host.replace(/%.*/, ''), port });
  const lines = [`${method} ${path} HTTP/1.1`];
  for (const [name, value] of Object.entries({ host: authority, ...headers })) {
    // The value may be a key.
    if (!isToken.test(name) || !isValue.test(value))
      throw new TypeError(`Header ${JSON.stringify(name)} cannot be sent: it takes one line of Latin-1`);
    lines.push(`${name}: ${value}`);
  }
  lines.push(`content-length: ${Buffer.byteLength(body)}`);
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return Buffer.concat([head, typeof body === 'string' ? Buffer.from(body) : body]);
}
