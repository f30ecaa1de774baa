import { readdirSync } from 'node:fs';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

/** A network interface that is up, with the facts that broadcast and link-local multicast need. */
export interface NetworkInterface {
  readonly name: string;
  readonly loopback: boolean;
  readonly ipv4: readonly Ipv4Address[];
  /** Its IPv6 addresses, without zones. */
  readonly ipv6: readonly string[];
  /** Its IPv6 link-local address without zone; absent where IPv6 is off. */
  readonly linkLocal?: string;
  /** The number of that address's link; absent where the runtime does not say it. */
  readonly scope?: number;
  /** The text after `%` that names this interface in an IPv6 address: its name, its number on Windows. */
  readonly zone: string;
}

/** An IPv4 address of an interface. */
export interface Ipv4Address {
  readonly address: string;
  readonly netmask: string;
  /** The directed broadcast address of its subnet; absent where there is none (/31, /32, point to point). */
  readonly broadcast?: string;
}

/** The interfaces that are up now and have an address. */
export function listInterfaces(): NetworkInterface[] {
  try {
    return Object.entries(networkInterfaces()).map(([name, infos]) => describe(name, infos ?? []));
  } catch {
    // Some sandboxes forbid the list; unicast works without it.
    return [];
  }
}

/** Names of all interfaces, also of those without an address, where the system says them (Linux). */
export function interfaceNames(): string[] {
  const names = new Set(listInterfaces().map(({ name }) => name));
  try {
    for (const name of readdirSync('/sys/class/net')) names.add(name);
  } catch {
    // Not Linux.
  }
  return [...names].toSorted();
}

function describe(name: string, infos: readonly NetworkInterfaceInfo[]): NetworkInterface {
  const ipv6 = infos.filter((info) => info.family === 'IPv6');
  const local = ipv6.find(({ address }) => isLinkLocal(address));
  const scope = local?.scopeid;
  return {
    name,
    loopback: infos.some(({ internal }) => internal),
    ipv4: infos.filter(({ family }) => family === 'IPv4').map(ipv4Address),
    ipv6: ipv6.map(({ address }) => withoutZone(address)),
    ...(local && { linkLocal: withoutZone(local.address) }),
    ...(scope !== undefined && { scope }),
    zone: process.platform === 'win32' && scope ? String(scope) : name,
  };
}

function ipv4Address({ address, netmask }: NetworkInterfaceInfo): Ipv4Address {
  const broadcast = directedBroadcast(address, netmask);
  return { address, netmask, ...(broadcast !== undefined && { broadcast }) };
}

/** The address that reaches every host of the subnet; undefined for subnets too small to have one. */
export function directedBroadcast(address: string, netmask: string): string | undefined {
  const mask = toNumber(netmask);
  const hostBits = ~mask >>> 0;
  if (hostBits <= 1) return undefined;
  const broadcast = (toNumber(address) | hostBits) >>> 0;
  return [24, 16, 8, 0].map((shift) => (broadcast >>> shift) & 255).join('.');
}

/** Whether `other` is in the subnet of `address`. */
export function inSubnet(other: string, { address, netmask }: Ipv4Address): boolean {
  const mask = toNumber(netmask);
  return (toNumber(other) & mask) === (toNumber(address) & mask);
}

/** Whether an address is an IPv6 link-local one (fe80::/10), with or without zone. */
export function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address);
}

/** Whether an address, of either family, is this host's loopback. */
export function isLoopback(address: string): boolean {
  return address === '::1' || /^127\.\d+\.\d+\.\d+$/.test(address);
}

/** An address without its zone. */
export function withoutZone(address: string): string {
  return address.replace(/%.*$/, '');
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0) >>> 0;
}
