import { formatAddress, type HostPort } from '../protocol/address.ts';
import { type BunSocket, connectBun } from './bun-socket.ts';
import { unreachable } from './connection-errors.ts';
import { IncomingBody } from './incoming-body.ts';
import type { PeerConnection } from './peer.ts';
import { ResponseReader } from './response-reader.ts';
import type { ChannelRequest, ChannelResponse, PeerCertificate } from './runtime.ts';

/** How long a connection may rest and be used again: brokers close one that has rested for 10 seconds. */
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

  /** Opens one; see {@link connectBun}. */
  static async open(address: HostPort, signal?: AbortSignal, expected?: string): Promise<BunConnection> {
    return new BunConnection(address, await connectBun(address, signal, expected));
  }

  get certificate(): PeerCertificate {
    return this.#socket.certificate;
  }

  /** Whether it is open still; one that has rested for too long is closed now. */
  get open(): boolean {
    if (this.#restsSince !== undefined && performance.now() - this.#restsSince > MAX_REST_MS) this.close();
    return this.#socket.open;
  }

  /** Whether it can take a request. */
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
      abandon: () => fail(new Error('nobody reads the answer')),
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
    if (signal?.aborted) abort();
    else signal?.addEventListener('abort', abort, { once: true });
    this.#socket.receive({
      data: (bytes) => attempt(() => reader.read(bytes)),
      closed: (error) => attempt(() => reader.close(), error),
    });
    attempt(() => this.#socket.write(requestBytes(this.#address, request)));
    return promise;
  }
}

function requestBytes({ host, port }: HostPort, request: ChannelRequest): Uint8Array {
  const { method, path, headers, body = '' } = request;
  // The zone of an address says something on this host alone (RFC 6874).
  const lines = [
    `${method} ${path} HTTP/1.1`,
    `host: ${formatAddress({ host: host.replace(/%.*/, ''), port })}`,
  ];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  lines.push(`content-length: ${Buffer.byteLength(body)}`);
  for (const line of lines) {
    // oxlint-disable-next-line no-control-regex -- those are what it looks for
    if (/[\0-\x08\n-\x1f\x7f\u0100-\uffff]/.test(line))
      throw new TypeError(`No HTTP header: ${JSON.stringify(line)}`);
  }
  const head = Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
  return Buffer.concat([head, typeof body === 'string' ? Buffer.from(body) : body]);
}
