import { IPV4_REGEX, IPV6_REGEX } from 'valibot';

/** The IP version of an address, 4 or 6 (an IPv6 address may have a zone); 0 for any other text. */
export function ipVersion(text: string): 0 | 4 | 6 {
  if (IPV4_REGEX.test(text)) return 4;
  const [address = '', zone] = text.split(/%(.*)/s);
  if (!IPV6_REGEX.test(address) || !/^[\w.-]+$/.test(zone ?? '0')) return 0;
  // The pattern accepts leading zeros in a dotted end, the system does not.
  return !address.includes('.') || IPV4_REGEX.test(address.slice(address.lastIndexOf(':') + 1)) ? 6 : 0;
}
