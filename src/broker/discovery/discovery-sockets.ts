import { isIPv6 } from 'node:net';
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
import { createGroupMembers, createGroupSockets, type GroupMembers, type Hear } from './group-members.ts';

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

/** The errors that mean that a host has no IPv6. Others are a fault, such as a port that something else has. */
const withoutFamily: ReadonlySet<string> = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL', 'EINVAL']);

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
  let group: GroupMembers | undefined;
  const reply6 = async (datagram: Uint8Array, to: UdpPeer): Promise<void> => {
    // Without its zone (Deno) a link-local sender may be on any link; only its own link delivers the reply.
    const zones = isLinkLocal(to.address) && !to.address.includes('%') ? (group?.zones() ?? []) : [];
    const addresses = zones.length > 0 ? zones.map((zone) => `${to.address}%${zone}`) : [to.address];
    for (const address of addresses) await v6?.send(datagram, { ...to, address });
  };
  const onMessage = (datagram: Uint8Array, from: UdpPeer): void =>
    options.onDatagram(datagram, from, (answer) => reply6(answer, from));
  const v6 =
    options.listenIp === '0.0.0.0'
      ? undefined
      : await openUdp({ family: 6, address: '::', port, receiveBuffer: RECEIVE_BUFFER, onMessage }).catch(
          (error: NodeJS.ErrnoException) => {
            const level = withoutFamily.has(error.code ?? '') ? 'debug' : 'warn';
            log[level]('Discovery works without IPv6', { error: socketErrorName(error) });
            return undefined;
          },
        );
  if (!v4 && !v6) throw whyNot;
  group = v6 && createGroupMembers(v6, log);
  const stopRescans = repeatSlowing(options.rescanMs, () => {
    try {
      group?.look();
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

/**
 * Listens on one address, and on the broadcast and multicast addresses of its subnet: on most systems a
 * socket of one address does not receive those. Where it does (Windows), these further sockets cannot be
 * opened, and are not needed.
 */
async function listenOn(options: DiscoverySocketsOptions): Promise<DiscoverySockets> {
  const { listenIp, log } = options;
  const family = isIPv6(listenIp) ? 6 : 4;
  const main = await openReplying(options, family, listenIp);
  const hear: Hear = (address, accepts) =>
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
  const closeOthers = await (family === 4 ? hearBroadcast(listenIp, hear) : hearGroup(options, hear));
  return {
    port: main.port,
    async close() {
      await main.close();
      await closeOthers();
    },
  };
}

/** Returns the function that closes the further sockets. */
async function hearBroadcast(listenIp: string, hear: Hear): Promise<() => Promise<void>> {
  const sockets = await Promise.all(
    broadcastsAround(listenIp).map(({ address, accepts }) => hear(address, accepts)),
  );
  return async () => {
    for (const socket of sockets) await socket?.close();
  };
}

function broadcastsAround(listenIp: string): { address: string; accepts: (from: UdpPeer) => boolean }[] {
  const own = listInterfaces().flatMap((link) => link.ipv4.map((subnet) => ({ link, subnet })));
  const found = own.find(({ link, subnet }) => isAt(listenIp, link, subnet));
  if (found?.subnet.broadcast === undefined) return [];
  const accepts = ({ address }: UdpPeer): boolean => inSubnet(address, found.subnet);
  const limited = found.link.loopback ? [] : ['255.255.255.255'];
  // Datagrams to 255.255.255.255 come from every interface, and only one of them is configured.
  return [found.subnet.broadcast, ...limited].map((address) => ({ address, accepts }));
}

function isAt(listenIp: string, link: NetworkInterface, subnet: Ipv4Address): boolean {
  return subnet.address === listenIp || (link.loopback && inSubnet(listenIp, subnet));
}

/** Returns the function that closes the further sockets. */
async function hearGroup(
  { listenIp, rescanMs, log }: DiscoverySocketsOptions,
  hear: Hear,
): Promise<() => Promise<void>> {
  const sockets = createGroupSockets(listenIp, hear, log);
  await sockets.look();
  const stopRescans = repeatSlowing(rescanMs, () => void sockets.look());
  return async () => {
    stopRescans();
    await sockets.close();
  };
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
