import { runtime } from '#runtime';
import { parseAuthorities, systemAuthorities } from '../../runtime/tls/authorities.ts';
import type { BrokerUrl } from '../../protocol/addresses/broker-url.ts';
import type { Channel, ChannelRequest, ChannelResponse } from '../../runtime/runtime.ts';
import { type Fetch, openFetchChannel } from './fetch-channel.ts';
import { withTimeout } from './time-limit.ts';
import type { BrokerConnection } from './connection.ts';
import { checkRedirect, failureOf, tooSlow } from './rpc.ts';
import { checkUrlCertificate } from '../trust/url-trust.ts';

/** How a broker that is named by a URL is reached. */
export interface UrlConnectionOptions {
  /** Texts in PEM with the authorities to trust; default: those of the system. */
  readonly ca?: string | readonly string[] | undefined;
  /** The only certificate to accept, besides the authorities' word: 64 lower-case hex digits. */
  readonly fingerprint?: string | undefined;
  /** Replaces the network. */
  readonly fetch?: Fetch | undefined;
}

/**
 * Statuses of `/identity` that mean that the broker is out of reach. Other errors may come from a proxy that
 * wants a key, which is not sent here.
 */
const absent: ReadonlySet<number> = new Set([404, 502, 503, 504]);

/**
 * A connection to a broker behind a proxy, or mounted in an app.
 * @throws BrokerError `usage` for authorities that cannot be read.
 */
export async function openUrlConnection(
  url: BrokerUrl,
  options: UrlConnectionOptions,
): Promise<BrokerConnection> {
  const channel = options.fetch ? openFetchChannel(url, options.fetch) : await openChannel(url, options);
  const request = ({ path, headers, ...rest }: ChannelRequest): Promise<ChannelResponse> =>
    channel.request({
      ...rest,
      path: url.prefix + path,
      // A function that replaces the network receives the URL itself.
      headers: options.fetch ? headers : { host: url.authority, ...headers },
    });
  const connection: BrokerConnection = {
    address: { host: url.host, port: url.port },
    place: url.href,
    isProxied: true,
    request,
    async probe(ms) {
      const limit = withTimeout(ms);
      try {
        const { signal } = limit;
        const response = await request({ method: 'POST', path: '/identity', headers: {}, signal });
        const text = await response.text();
        checkRedirect(connection, response);
        const { status } = response;
        if (!absent.has(status)) return;
        const failure = failureOf(status, text, { connection, isBuiltIn: true });
        // A broker without `/identity` answers with its own error.
        if (failure.code !== 'not_found') throw failure;
      } catch (error) {
        throw limit.timedOut() ? tooSlow(connection, ms) : error;
      } finally {
        limit.release();
      }
    },
    close: () => channel.close(),
  };
  return connection;
}

function openChannel(url: BrokerUrl, { ca, fingerprint }: UrlConnectionOptions): Promise<Channel> {
  const texts = typeof ca === 'string' ? [ca] : ca;
  const authorities = texts?.flatMap((text) => parseAuthorities(text, 'ca')) ?? systemAuthorities();
  return runtime.openHostChannel({
    host: url.host,
    port: url.port,
    authorities,
    judge: (presented) => checkUrlCertificate(url, presented, { isOwn: texts !== undefined, fingerprint }),
  });
}
