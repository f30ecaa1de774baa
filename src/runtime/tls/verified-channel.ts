import http from 'node:http';
import type { Duplex } from 'node:stream';
import type { HostPort } from '../../protocol/addresses/address.ts';
import { boundedText } from '../http/bounded-text.ts';
import { unreachable } from '../network/connection-errors.ts';
import type { PeerConnection } from './peer.ts';
import type { Channel, ChannelOptions, ChannelRequest, ChannelResponse } from '../runtime.ts';
import { certificateOf, connectUnverified, connectVerified } from './verified-socket.ts';

/**
 * The channel for every runtime: `node:http` over sockets that {@link connectVerified} has checked.
 * Connections are kept for later requests.
 */
export function openVerifiedChannel(options: ChannelOptions): Channel {
  return channelOver(options, (signal) => connectVerified(options, signal));
}

/** A channel over sockets that `connect` opens and checks. */
export function channelOver(
  options: HostPort,
  connect: (signal: AbortSignal | undefined) => Promise<Duplex>,
): Channel {
  const agent = new http.Agent({ keepAlive: true, timeout: 60_000 });
  agent.createConnection = (connection, callback) => {
    connect((connection as Connecting).until).then(
      (socket) => callback?.(null, socket),
      (error: unknown) => callback?.(error as Error, undefined as unknown as Duplex),
    );
    return undefined;
  };
  return {
    request: (request) => send(options, agent, request),
    close: () => agent.destroy(),
  };
}

/** One connection to a peer that has not been verified. */
export async function openPeer(address: HostPort, signal: AbortSignal): Promise<PeerConnection> {
  const socket = await connectUnverified(address, signal);
  const agent = new http.Agent({ keepAlive: false });
  agent.createConnection = (_options, callback) => {
    callback?.(null, socket);
    return undefined;
  };
  return {
    certificate: certificateOf(socket),
    request: (request) => send(address, agent, request),
    close: () => socket.destroy(),
  };
}

/** The options that a request passes to its connection. */
interface Connecting extends http.RequestOptions {
  /** Ends the attempt: no runtime ends a connection attempt together with its request. */
  readonly until?: AbortSignal | undefined;
}

function send(address: HostPort, agent: http.Agent, request: ChannelRequest): Promise<ChannelResponse> {
  return new Promise((resolve, reject) => {
    const { signal, body = '' } = request;
    const wanted: Connecting = {
      agent,
      host: address.host,
      port: address.port,
      method: request.method,
      path: request.path,
      headers: { ...request.headers, 'content-length': Buffer.byteLength(body) },
      until: signal,
      ...(signal ? { signal } : {}),
    };
    const outgoing = http.request(wanted);
    outgoing.once('error', (error) => reject(signal?.aborted ? signal.reason : unreachable(address, error)));
    outgoing.once('response', (incoming) => resolve(toResponse(address, incoming, signal)));
    outgoing.end(body);
  });
}

function toResponse(
  address: HostPort,
  incoming: http.IncomingMessage,
  signal?: AbortSignal,
): ChannelResponse {
  async function* stream(): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of incoming) yield chunk as Uint8Array;
    } catch (error) {
      throw signal?.aborted ? signal.reason : unreachable(address, error);
    }
  }
  return {
    status: incoming.statusCode ?? 0,
    header: (name) => incoming.headers[name]?.toString(),
    stream,
    text: () => boundedText(stream()),
  };
}
