import { type ClientHttp2Stream, connect, type SecureClientSessionOptions } from 'node:http2';
import { addressOf } from '../node.ts';
import { type FleetOptions, MASTER, type Node, type Outcome, portFor } from '../phases.ts';
import { type Connection, released } from '../release.ts';

/**
 * What a fleet would do without a broker: every node watches a key of etcd, and node 0 puts it. Each has a
 * TLS connection of its own, to the members in turn. It speaks gRPC, as etcd's own clients do; the JSON
 * gateway would only ask the member by gRPC once more. Only the message is prepared by hand: the frames are
 * those of `node:http2`.
 */
export async function watchersOf(options: FleetOptions): Promise<Outcome> {
  return released(options, {
    follow(node, waits) {
      return call(node, options, 'Watch/Watch', field(1, field(1, MASTER)), (message, settle) => {
        const { events, created } = readWatch(message);
        if (created) waits();
        if (events > 0) settle();
      });
    },
    async lead(node, ready) {
      await ready();
      return await call(node, options, 'KV/Put', field(1, MASTER) + field(2, 'here'), (_, settle) =>
        settle(),
      );
    },
  });
}

/** Asks a member, until what it answers settles it. */
function call(
  { index, signal }: Node,
  options: FleetOptions,
  method: string,
  message: string,
  hear: (message: Buffer, settle: () => void) => void,
): Promise<Connection> {
  return new Promise((resolve, reject) => {
    let received = 0;
    // All that `tls.connect` takes is taken, which the types do not say.
    const own: SecureClientSessionOptions & { localAddress: string } = {
      rejectUnauthorized: false,
      localAddress: addressOf(index),
    };
    const session = connect(`https://127.0.0.1:${portFor(index, options)}`, own);
    const abort = (): void => session.destroy();
    const close = (): void => {
      signal.removeEventListener('abort', abort);
      session.destroy();
    };
    const fail = (error: Error): void => {
      close();
      reject(error);
    };
    signal.addEventListener('abort', abort, { once: true });
    session.on('error', fail);
    session.once('close', () => fail(new Error(`${method}: the connection was closed`)));
    const stream: ClientHttp2Stream = session.request({
      ':method': 'POST',
      ':path': `/etcdserverpb.${method}`,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', fail);
    stream.on('trailers', (trailers) => {
      if (trailers['grpc-status'] !== '0')
        fail(new Error(`${method}: gRPC status ${trailers['grpc-status']}, ${trailers['grpc-message']}`));
    });
    let pending = Buffer.alloc(0);
    stream.on('data', (data: Buffer) => {
      received += data.length;
      pending = Buffer.concat([pending, data]);
      while (pending.length >= 5 && pending.length >= 5 + pending.readUInt32BE(1)) {
        const end = 5 + pending.readUInt32BE(1);
        hear(pending.subarray(5, end), () => resolve({ received: () => received, close }));
        pending = pending.subarray(end);
      }
    });
    const body = Buffer.from(message, 'latin1');
    const head = Buffer.alloc(5);
    head.writeUInt32BE(body.length, 1);
    stream.write(Buffer.concat([head, body]));
  });
}

/** A field of protobuf that is a text or a message, shorter than 128 bytes. */
function field(number: number, value: string): string {
  return String.fromCharCode((number << 3) | 2, value.length) + value;
}

/** Of etcd's `WatchResponse`: whether it says that the watch has begun (field 3), and how many events it has (field 11). */
function readWatch(message: Buffer): { readonly created: boolean; readonly events: number } {
  let created = false;
  let events = 0;
  let at = 0;
  const varint = (): number => {
    for (let value = 0, unit = 1; ; unit *= 128) {
      const byte = message[at++];
      if (byte === undefined) throw new Error('A message of etcd is cut off');
      value += (byte & 127) * unit;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const value = varint();
    if ((tag & 7) === 2) at += value;
    if (tag === 3 << 3) created = value === 1;
    if (tag === ((11 << 3) | 2)) events++;
  }
  return { created, events };
}
