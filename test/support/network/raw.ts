import { once } from 'node:events';
import tls from 'node:tls';

/** What a server sent back to raw bytes. */
export interface RawAnswer {
  /** Of the first response; 0 when there was none. */
  readonly status: number;
  /** All that came, as Latin-1. */
  readonly text: string;
  /** Whether the server closed the connection. */
  readonly closed: boolean;
}

/** A TLS connection to a server on loopback; its certificate is not looked at. */
export async function connectRaw(
  port: number,
  options: tls.ConnectionOptions & { readonly localAddress?: string } = {},
): Promise<tls.TLSSocket> {
  const socket = tls.connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  socket.setNoDelay(true);
  await once(socket, 'secureConnect');
  socket.on('error', () => undefined);
  return socket;
}

/**
 * Sends bytes as they are and returns what comes back until the server closes, or falls silent for
 * `silenceMs` (1000), or has answered `responses` times. It may be silent for `firstMs` (10,000) before it says
 * anything, as on a busy machine. `localAddress` is the address to come from.
 */
export async function sendRaw(
  port: number,
  bytes: string | Uint8Array,
  options: { silenceMs?: number; firstMs?: number; responses?: number; localAddress?: string } = {},
): Promise<RawAnswer> {
  const { silenceMs = 1000, firstMs = 10_000, responses = Infinity, localAddress } = options;
  const socket = await connectRaw(port, localAddress === undefined ? {} : { localAddress });
  let text = '';
  let closed = false;
  await new Promise<void>((resolve) => {
    let timer = setTimeout(resolve, firstMs);
    socket.on('data', (part) => {
      text += part.toString('latin1');
      clearTimeout(timer);
      if (complete(text) >= responses) resolve();
      else timer = setTimeout(resolve, silenceMs);
    });
    socket.once('close', () => {
      closed = true;
      clearTimeout(timer);
      resolve();
    });
    socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  });
  socket.destroy();
  return { status: Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0), text, closed };
}

/** How many whole responses stand in `text`: with a length, or chunked and empty. */
function complete(text: string): number {
  let count = 0;
  for (let rest = text; ; count++) {
    const head = rest.indexOf('\r\n\r\n');
    if (head === -1) return count;
    const headers = rest.slice(0, head);
    const length = /^content-length: *(\d+)/im.exec(headers)?.[1];
    const empty = /^transfer-encoding: *chunked/im.test(headers) && rest.startsWith('0\r\n\r\n', head + 4);
    const end = head + 4 + (empty ? 5 : Number(length));
    if (Number.isNaN(end) || rest.length < end) return count;
    rest = rest.slice(end);
  }
}
