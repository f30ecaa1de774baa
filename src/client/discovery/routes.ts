import { DISCOVERY_GROUP } from '../../protocol/discovery/datagrams.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { isLoopback, type NetworkInterface } from '../../runtime/network/interfaces.ts';

/** One way out of this host: a local address to send from, and the addresses to ask from there. */
export interface QueryRoute {
  /** Name of the interface. */
  readonly interface: string;
  readonly family: 4 | 6;
  /** Local address to bind, so that the query leaves by this interface with the right source. */
  readonly from: string;
  /** Destination addresses on that link. */
  readonly to: readonly string[];
}

/**
 * The routes that reach the neighbours of this host without knowing their addresses. For each IPv4 address:
 * the broadcast address of its subnet, and 255.255.255.255. On each link with IPv6: the multicast group.
 * Last, this host itself.
 */
export function planRoutes(interfaces: readonly NetworkInterface[]): QueryRoute[] {
  return interfaces.flatMap((link) => (link.loopback ? loopbackRoutes(link) : linkRoutes(link)));
}

function linkRoutes({ name, ipv4, linkLocal, zone }: NetworkInterface): QueryRoute[] {
  const routes: QueryRoute[] = [];
  const asked = new Set<string>();
  for (const { address, broadcast } of ipv4) {
    // A second address in the same subnet would only ask the same hosts again.
    if (broadcast === undefined || asked.has(broadcast)) continue;
    asked.add(broadcast);
    routes.push({ interface: name, family: 4, from: address, to: [broadcast, '255.255.255.255'] });
  }
  if (linkLocal !== undefined) {
    const to = [`${DISCOVERY_GROUP}%${zone}`];
    routes.push({ interface: name, family: 6, from: `${linkLocal}%${zone}`, to });
  }
  return routes;
}

function loopbackRoutes({ name, ipv4 }: NetworkInterface): QueryRoute[] {
  return ipv4
    .filter(({ address }) => isLoopback(address))
    .slice(0, 1)
    .map(({ address, broadcast }) => {
      const to = broadcast === undefined ? [address] : [address, broadcast];
      return { interface: name, family: 4, from: address, to };
    });
}

/**
 * Those of `present` that the user asked for; all of them when the user named none. The loopback interface
 * has the name `lo` on every system. `known` names all interfaces of this host, also those without an
 * address.
 * @param what how the message calls it, such as `--interface`.
 * @throws BrokerError `usage` for an unknown name.
 */
export function chooseInterfaces(
  present: readonly NetworkInterface[],
  wanted: readonly string[] | undefined,
  known: readonly string[],
  what = '',
): NetworkInterface[] {
  if (wanted === undefined || wanted.length === 0) return [...present];
  for (const name of wanted) {
    if (known.includes(name) || present.some((link) => isWanted(name, link))) continue;
    const problem = `o interface is named '${name}'; this host has ${known.join(', ') || 'none'}`;
    throw new BrokerError('usage', what === '' ? `N${problem}` : `Invalid ${what}: n${problem}`);
  }
  return present.filter((link) => wanted.some((name) => isWanted(name, link)));
}

function isWanted(name: string, link: NetworkInterface): boolean {
  return link.name === name || (name === 'lo' && link.loopback);
}
