import { IPV4_REGEX, IPV6_REGEX } from 'valibot';

/** Which version of IP an address is written in (an IPv6 one may have a zone), or 0 for a text that is none. */
export function ipVersion(text: string): 0 | 4 | 6 {
  if (IPV4_REGEX.test(text)) return 4;
  const [address = '', zone] = text.split(/%(.*)/s);
  if (!IPV6_REGEX.test(address) || !/^[\w.-]+$/.test(zone ?? '0')) return 0;
  // The pattern takes leading zeros in a dotted end, which the system does not.
  return !address.includes('.') || IPV4_REGEX.test(address.slice(address.lastIndexOf(':') + 1)) ? 6 : 0;
}
