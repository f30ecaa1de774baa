import type { HostPort } from './address.ts';
import { BrokerError } from '../errors.ts';

/** The URL of a broker behind a proxy, or mounted in an app, in its parts. */
export interface BrokerUrl extends HostPort {
  /** The whole URL in one spelling, without a slash at its end: `https://host:8443/prefix`. */
  readonly href: string;
  /** The beginning of every path: `/prefix`, or `''`. */
  readonly prefix: string;
  /** The value of the `Host` header: without the port where it is 443. */
  readonly authority: string;
}

/**
 * Reads `https://HOST[:PORT][/PREFIX]`; the default port is 443.
 * @throws BrokerError `usage`, naming `what`, for any other URL: another scheme, a user, a query or a
 * fragment.
 */
export function parseBrokerUrl(text: string, what: string): BrokerUrl {
  // The text before an @ may be a password.
  const shown = text.includes('@') ? what : `${what} '${text}'`;
  const refuse = (why: string): never => {
    throw new BrokerError('usage', `Invalid ${shown}: ${why}`);
  };
  if (!/^https:\/\//i.test(text))
    refuse('the URL of a broker begins with https://, because keys and data are sent to it');
  if (!URL.canParse(text)) refuse('expected https://HOST[:PORT][/PREFIX], IPv6 in brackets');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '' || text.includes('@'))
    refuse('the URL of a broker has no user and no password; give an access key with --access-key-file');
  if (/[?#]/.test(text)) refuse('the URL of a broker has no query and no fragment');
  if (url.port === '0') refuse('a broker cannot listen on port 0');
  const prefix = url.pathname.replace(/\/+$/, '');
  return {
    href: `https://${url.host}${prefix}`,
    host: url.hostname.replaceAll(/[[\]]/g, ''),
    port: Number(url.port || 443),
    prefix,
    authority: url.host,
  };
}
