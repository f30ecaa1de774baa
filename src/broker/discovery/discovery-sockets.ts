import { isIPv6 } from 'node:net';
import { DISCOVERY_GROUP } from '../../protocol/discovery/datagrams.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import {
  inSubnet,
  type Ipv4Address,
  isLinkLocal,
  listInterfaces,
  type NetworkInterface,
} from '../../runtime/network/interfaces.ts';
import { openUdp, socketErrorName, type UdpPeer, type UdpSocket } from '../../runtime/network/udp.ts';

/** The sockets on which a broker receives queries. */
export interface DiscoverySockets {
  /** The UDP port, the same for all of them. */
  readonly port: number;
  close(): Promise<void>;
}

export interface DiscoverySocketsOptions {
  /** `''` or `'::'`: every interface, IPv4 and IPv6; `'0.0.0.0'`: every interface, IPv4; else one address. */
  readonly listenIp: string;
  /** 0 picks a free port. */
  readonly port: number;
  /** The longest pause before new interfaces join the IPv6 group, in milliseconds. */
  readonly rescanMs: number;
  readonly log: Logger;
  /** Called with a datagram; `reply` sends one back to its sender, and never rejects. */
  onDatagram(datagram: Uint8Array, from: UdpPeer, reply: (datagram: Uint8Array) => Promise<void>): void;
}

const FIRST_RESCAN_MS = 1000;

/**
 * The receive buffer in bytes. It holds the queries of a fleet within one second, 10,000 with the system's
 * overhead, while a turn of the event loop is long. The handshakes of the same fleet take turns of tenths of
 * a second.
 */
const RECEIVE_BUFFER = 8 * 1024 * 1024;

/**
 * Opens them.
 * @throws the system's error when it cannot listen on the address itself.
 */
export function openDiscoverySockets(options: DiscoverySocketsOptions): Promise<DiscoverySockets> {
  const everywhere = ['', '::', '0.0.0.0'].includes(options.listenIp);
  return everywhere ? listenEverywhere(options) : listenOn(options);
}

async function listenEverywhere(options: DiscoverySocketsOptions): Promise<DiscoverySockets> {
  const { log } = options;
  const [v4, whyNot] = await openAny4(options);
  const port = v4?.port ?? options.port;
  const joined = new Map<string, string>();
  const reply6 = async (datagram: Uint8Array, to: UdpPeer): Promise<void> => {
    // Without its zone (Deno) a link-local sender may be on any link; only its own link delivers the reply.
    const zones = isLinkLocal(to.address) && !to.address.includes('%') ? [...joined.keys()] : [];
    const addresses = zones.length > 0 ? zones.map((zone) => `${to.address}%${zone}`) : [to.address];
    for (const address of addresses) await v6?.send(datagram, { ...to, address });
  };
  const onMessage = (datagram: Uint8Array, from: UdpPeer): void =>
    options.onDatagram(datagram, from, (answer) => reply6(answer, from));
  const v6 =
    options.listenIp === '0.0.0.0'
      ? undefined
      : await openUdp({ family: 6, address: '::', port, receiveBuffer: RECEIVE_BUFFER, onMessage }).catch(
          (error: unknown) => {
            log.debug('Discovery works without IPv6', { error: socketErrorName(error) });
            return undefined;
          },
        );
  if (!v4 && !v6) throw whyNot;
  const stopRescans = repeatSlowing(options.rescanMs, () => {
    try {
      joinGroups(v6, joined, log);
    } catch (error) {
      // The interfaces cannot be listed now, perhaps because descriptors ran out: the next round tries again.
      log.debug('Cannot look for new interfaces', { error: messageOf(error) });
    }
  });
  return {
    port: v4?.port ?? v6?.port ?? port,
    async close() {
      stopRescans();
      await Promise.all([v4?.close(), v6?.close()]);
    },
  };
}

/**
 * Runs `action` now and at growing intervals, up to `maxMs`. New links mostly come up while the host starts,
 * as the broker does.
 * @returns a function that ends it.
 */
function repeatSlowing(maxMs: number, action: () => void): () => void {
  let timer: NodeJS.Timeout;
  const run = (delayMs: number): void => {
    action();
    timer = setTimeout(() => run(Math.min(2 * delayMs, maxMs)), delayMs).unref();
  };
  run(Math.min(FIRST_RESCAN_MS, maxMs));
  return () => clearTimeout(timer);
}

/** The socket of all IPv4 interfaces; on a host without IPv4, no socket and the error. */
async function openAny4(options: DiscoverySocketsOptions): Promise<[UdpSocket | undefined, unknown]> {
  try {
    return [await openReplying(options, 4, '0.0.0.0'), undefined];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAFNOSUPPORT') throw error;
    return [undefined, error];
  }
}

/** Joins the group on every new link, and forgets the links that are gone. */
function joinGroups(socket: UdpSocket | undefined, joined: Map<string, string>, log: Logger): void {
  if (!socket) return;
  const links = listInterfaces().filter(({ linkLocal }) => linkLocal !== undefined);
  for (const zone of joined.keys()) {
    if (!links.some((link) => link.zone === zone)) joined.delete(zone);
  }
  for (const { zone, name, linkLocal = '' } of links) {
    // A link that was replaced under its old name has another address, and must join again.
    if (joined.get(zone) === linkLocal) continue;
    const error = socket.join(DISCOVERY_GROUP, zone);
    joined.set(zone, linkLocal);
    if (error) {
      log.debug('Cannot join the discovery group', { interface: name, error: socketErrorName(error) });
    }
  }
}

/**
 * Listens on one address, and on the broadcast and multicast addresses of its subnet: on most systems a
 * socket of one address does not receive those. Where it does (Windows), these further sockets cannot be
 * opened, and are not needed.
 */
async function listenOn(options: DiscoverySocketsOptions): Promise<DiscoverySockets> {
  const { listenIp, log } = options;
  const family = isIPv6(listenIp) ? 6 : 4;
  const main = await openReplying(options, family, listenIp);
  const hear = async (address: string, accepts: (from: UdpPeer) => boolean): Promise<UdpSocket | undefined> =>
    openUdp({
      family,
      address,
      port: main.port,
      receiveBuffer: RECEIVE_BUFFER,
      // Another broker on this host may listen on another address of the same subnet.
      reuse: true,
      onMessage: (datagram, from) => {
        if (accepts(from)) options.onDatagram(datagram, from, (answer) => sendTo(main, answer, from));
      },
    }).catch((error: unknown) => {
      log.debug('Discovery cannot listen here', { address, error: socketErrorName(error) });
      return undefined;
    });
  const more = await Promise.all(family === 4 ? hearBroadcast(listenIp, hear) : hearGroup(listenIp, hear));
  return {
    port: main.port,
    async close() {
      for (const socket of [main, ...more]) await socket?.close();
    },
  };
}

type Hear = (address: string, accepts: (from: UdpPeer) => boolean) => Promise<UdpSocket | undefined>;

function hearBroadcast(listenIp: string, hear: Hear): Promise<UdpSocket | undefined>[] {
  const own = listInterfaces().flatMap((link) => link.ipv4.map((subnet) => ({ link, subnet })));
  const found = own.find(({ link, subnet }) => isAt(listenIp, link, subnet));
  if (found?.subnet.broadcast === undefined) return [];
  const near = ({ address }: UdpPeer): boolean => inSubnet(address, found.subnet);
  const limited = found.link.loopback ? [] : ['255.255.255.255'];
  // Datagrams to 255.255.255.255 come from every interface, and only one of them is configured.
  return [found.subnet.broadcast, ...limited].map((address) => hear(address, near));
}

function isAt(listenIp: string, link: NetworkInterface, subnet: Ipv4Address): boolean {
  return subnet.address === listenIp || (link.loopback && inSubnet(listenIp, subnet));
}

function hearGroup(listenIp: string, hear: Hear): Promise<UdpSocket | undefined>[] {
  const [address = '', zone] = listenIp.toLowerCase().split('%');
  const links = listInterfaces().filter(
    (link) => link.linkLocal !== undefined && (zone ? link.zone === zone : link.ipv6.includes(address)),
  );
  return links.map(async (link) => {
    const socket = await hear(`${DISCOVERY_GROUP}%${link.zone}`, () => true);
    socket?.join(DISCOVERY_GROUP, link.zone);
    return socket;
  });
}

async function openReplying(
  options: DiscoverySocketsOptions,
  family: 4 | 6,
  address: string,
): Promise<UdpSocket> {
  const socket: UdpSocket = await openUdp({
    family,
    address,
    port: options.port,
    receiveBuffer: RECEIVE_BUFFER,
    onMessage: (datagram, from) =>
      options.onDatagram(datagram, from, (answer) => sendTo(socket, answer, from)),
  });
  return socket;
}

async function sendTo(socket: UdpSocket, datagram: Uint8Array, to: UdpPeer): Promise<void> {
  await socket.send(datagram, to);
}
