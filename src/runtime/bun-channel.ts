import { formatAddress } from '../protocol/address.ts';
import { codeOf, unreachable } from './connection-errors.ts';
import type { Channel, ChannelOptions, ChannelRequest, ChannelResponse } from './runtime.ts';

// The codes of a handshake that was refused for the certificate (OpenSSL's names), or of an address that `fetch` cannot
// even read. Nothing has been sent then. After any other failure something may have been, so it is not sent again.
const nothingSent =
  /^(?:UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|CERT_|ERR_TLS_|ERR_SSL_|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_|ERR_INVALID_URL)/;

/**
 * A channel through Bun's `fetch`, which checks the pinned certificate in its handshake. It can do so for a certificate
 * that a broker made itself. For any other (`ssl_cert`, or one not at hand) it refuses the handshake, and the portable
 * channel, which compares fingerprints, does the work and has the last word.
 */
export function openBunChannel(options: ChannelOptions): Channel {
  let portable: Channel | undefined;

  const openPortable = async (): Promise<Channel> => {
    const { openVerifiedChannel } = await import('./verified-channel.ts');
    portable ??= openVerifiedChannel(options);
    return portable;
  };

  return {
    async request(request) {
      if (portable || options.pin.certificate === undefined || options.host.includes('%')) {
        return (await openPortable()).request(request);
      }
      try {
        return await fetchPinned(options, options.pin.certificate, request);
      } catch (error) {
        if (request.signal?.aborted) throw request.signal.reason;
        if (!nothingSent.test(codeOf(error) ?? '')) throw unreachable(options, error);
        return (await openPortable()).request(request);
      }
    },
    close: () => portable?.close(),
  };
}

async function fetchPinned(
  options: ChannelOptions,
  ca: string,
  request: ChannelRequest,
): Promise<ChannelResponse> {
  const response = await fetch(`https://${formatAddress(options)}${request.path}`, {
    method: request.method,
    headers: request.headers,
    body: request.body ?? null,
    redirect: 'manual',
    tls: { ca, serverName: 'bpbroker' },
    ...(request.signal ? { signal: request.signal } : {}),
  } as BunFetchRequestInit);
  return {
    status: response.status,
    header: (name) => response.headers.get(name) ?? undefined,
    text: () => response.text().catch((error: unknown) => brokenOff(options, request, error)),
    async *stream() {
      try {
        for await (const chunk of response.body ?? []) yield chunk;
      } catch (error) {
        brokenOff(options, request, error);
      }
    },
  };
}

function brokenOff(options: ChannelOptions, request: ChannelRequest, error: unknown): never {
  throw request.signal?.aborted ? request.signal.reason : unreachable(options, error);
}
