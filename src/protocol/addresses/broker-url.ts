import type { HostPort } from './address.ts';
import { BrokerError } from '../errors.ts';

/** A broker behind a proxy, or mounted in an app: what its URL says. */
export interface BrokerUrl extends HostPort {
  /** In its one spelling, without a slash at its end: `https://host:8443/prefix`. */
  readonly href: string;
  /** What every path begins with: `/prefix`, or nothing. */
  readonly prefix: string;
  /** As the `Host` header has it: without the port where it is 443. */
  readonly authority: string;
}

/**
 * Reads `https://HOST[:PORT][/PREFIX]`; the port is 443 unless given.
 * @throws BrokerError `usage`, naming `what`, for any other URL: one of another scheme, or with a user, query or fragment.
 */
export function parseBrokerUrl(text: string, what: string): BrokerUrl {
  // What comes before an @ may be a password.
  const shown = text.includes('@') ? what : `${what} '${text}'`;
  const refuse = (why: string): never => {
    throw new BrokerError('usage', `Invalid ${shown}: ${why}`);
  };
  if (!/^https:\/\//i.test(text))
    refuse('the URL of a broker begins with https://, for keys and data travel to it');
  if (!URL.canParse(text)) refuse('expected https://HOST[:PORT][/PREFIX], IPv6 in brackets');
  const url = new URL(text);
  if (url.username !== '' || url.password !== '' || text.includes('@'))
    refuse('a URL carries no user and no password here; an access key has an option of its own');
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
