import tls from 'node:tls';

/** An answer that has come whole. */
export interface Answer {
  readonly status: number;
  /** Its body as JSON. */
  readonly json: unknown;
}

/**
 * HTTP/1.1 over one TLS connection, a request at a time, with as little work as it can do: the nodes share their machine with the
 * broker that they measure.
 */
export interface HttpConnection {
  /** Rejects when the connection ends before the answer, or the answer says no length. */
  request(method: 'GET' | 'POST', path: string, body?: object): Promise<Answer>;
  /** Bytes of answers so far, headers included, before encryption. */
  received(): number;
  close(): void;
}

export interface HttpConnectionOptions {
  readonly port: number;
  /** The loopback address to come from. */
  readonly from: string;
  /** SHA-256 of the certificate that must be presented, 64 lower-case hex digits; default: any. */
  readonly fingerprint?: string;
  /** Closes it, also while it is being opened. */
  readonly signal: AbortSignal;
}

/** Whether a connection was lost, or not made: what was asked on it may be asked again, unless it changes something. */
export function isLost(error: unknown): boolean {
  return error instanceof Error && 'code' in error;
}

function lost(what: string): Error {
  return Object.assign(new Error(`${what}: the connection was closed`), { code: 'CLOSED' });
}

/**
 * A handshake of its own for each: no session is taken up again, as hosts that boot have none. Rejects with an error that
 * {@link isLost} tells when there is no connection to be had.
 */
export function openHttpConnection({
  port,
  from,
  fingerprint,
  signal,
}: HttpConnectionOptions): Promise<HttpConnection> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port,
      localAddress: from,
      servername: 'bpbroker',
      rejectUnauthorized: false,
    });
    socket.setNoDelay(true);
    const abort = (): void => void socket.destroy(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', reject);
    socket.once('close', () => {
      signal.removeEventListener('abort', abort);
      reject(lost('The handshake'));
    });
    socket.once('secureConnect', () => {
      const presented = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase();
      if (fingerprint === undefined || presented === fingerprint) {
        resolve(lineOver(socket, port));
        return;
      }
      reject(new Error(`The broker presents the certificate ${presented}, and said ${fingerprint}`));
      socket.destroy();
    });
    if (signal.aborted) abort();
  });
}

interface Waiting {
  readonly path: string;
  resolve(answer: Answer): void;
  reject(error: Error): void;
}

function lineOver(socket: tls.TLSSocket, port: number): HttpConnection {
  let waiting: Waiting | undefined;
  let received = 0;
  let buffered = '';
  const fail = (error: Error): void => {
    waiting?.reject(error);
    waiting = undefined;
  };
  socket.on('error', fail);
  socket.once('close', () => fail(lost(waiting?.path ?? '')));
  // Names and data of the bench are ASCII: a character is a byte.
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text.length;
    buffered += text;
    const answer = readAnswer(buffered);
    if (!answer) return;
    buffered = '';
    if (answer instanceof Error) {
      fail(answer);
      socket.destroy();
      return;
    }
    waiting?.resolve(answer);
    waiting = undefined;
  });
  return {
    request(method, path, body) {
      return new Promise((resolve, reject) => {
        if (socket.destroyed) {
          reject(lost(path));
          return;
        }
        waiting = { path, resolve, reject };
        const text = body === undefined ? '' : JSON.stringify(body);
        const type = body === undefined ? '' : 'content-type: application/json\r\n';
        socket.write(
          `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n${type}content-length: ${text.length}\r\n\r\n${text}`,
        );
      });
    },
    received: () => received,
    close: () => void socket.destroy(),
  };
}

/** Nothing as long as it is not whole; an error for one that says no length. */
function readAnswer(text: string): Answer | Error | undefined {
  const head = text.indexOf('\r\n\r\n');
  if (head === -1) return undefined;
  const headers = text.slice(0, head);
  const length = Number(/\r\ncontent-length: *(\d+)/i.exec(headers)?.[1] ?? Number.NaN);
  if (Number.isNaN(length)) return new Error(`An answer without a length: ${headers}`);
  if (text.length < head + 4 + length) return undefined;
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(headers)?.[1] ?? 0);
  return { status, json: JSON.parse(text.slice(head + 4, head + 4 + length)) as unknown };
}
