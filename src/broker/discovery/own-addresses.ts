import { isIPv6 } from 'node:net';
import {
  inSubnet,
  isLinkLocal,
  isLoopback,
  listInterfaces,
  type NetworkInterface,
  withoutZone,
} from '../../runtime/network/interfaces.ts';

/**
 * The addresses, without zones, at which this host may be reached from `source`, the likeliest first. Those
 * of the source's link come first, then the others. Loopback is included only for a client on this host, and
 * link-local addresses only for a client on that link.
 * @param listenIp as configured: `''` or `'::'` is every address, `'0.0.0.0'` every IPv4 one.
 */
export function ownAddresses(
  listenIp: string,
  source: string,
  interfaces: readonly NetworkInterface[] = listInterfaces(),
): string[] {
  if (!['', '::', '0.0.0.0'].includes(listenIp)) return [withoutZone(listenIp)];
  const from = withoutZone(source);
  const near = interfaces.filter((link) => isNear(link, from, source));
  const far = interfaces.filter((link) => !near.includes(link));
  // Deno does not say which link a link-local source is on; so it may be any.
  const anyLink = near.length === 0 && isLinkLocal(from);
  const farAddresses = far.flatMap(addressesOf).filter((address) => anyLink || !isLinkLocal(address));
  const addresses = [...near.flatMap(addressesOf), ...farAddresses];
  return [...new Set(addresses)].filter(
    (address) => (listenIp !== '0.0.0.0' || !isIPv6(address)) && (!isLoopback(address) || isLoopback(from)),
  );
}

function addressesOf({ ipv4, ipv6 }: NetworkInterface): string[] {
  const global = ipv6.filter((address) => !isLinkLocal(address));
  const local = ipv6.filter(isLinkLocal);
  return [...ipv4.map(({ address }) => address), ...global, ...local];
}

/** Whether the source is on a link; for an IPv6 source, only its zone shows that. */
function isNear(link: NetworkInterface, from: string, source: string): boolean {
  if (isLoopback(from)) return link.loopback;
  if (isIPv6(from)) return source.endsWith(`%${link.zone}`);
  return link.ipv4.some((own) => inSubnet(from, own));
}
