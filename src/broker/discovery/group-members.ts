import { DISCOVERY_GROUP } from '../../protocol/discovery/datagrams.ts';
import { messageOf } from '../../protocol/errors.ts';
import type { Logger } from '../../protocol/logger.ts';
import { listInterfaces, type NetworkInterface } from '../../runtime/network/interfaces.ts';
import { socketErrorName, type UdpPeer, type UdpSocket } from '../../runtime/network/udp.ts';

/** The memberships of one socket in the discovery group. */
export interface GroupMembers {
  /** Joins on every link that is new, and forgets the links that are gone. */
  look(): void;
  /** The zones of the links on which the socket is a member. */
  zones(): string[];
}

export function createGroupMembers(socket: UdpSocket, log: Logger): GroupMembers {
  const joined = new Map<string, string>();
  // The system refuses to join twice, and a link may be without its address for a while.
  const everJoined = new Set<number | undefined>();

  function join(link: NetworkInterface): void {
    const { zone, scope } = link;
    if (joined.get(zone) === idOf(link)) return;
    const error = socket.join(DISCOVERY_GROUP, zone);
    if (error && !everJoined.has(scope)) {
      logFailure(log, link, error);
      return;
    }
    everJoined.add(scope);
    joined.set(zone, idOf(link));
  }

  return {
    look() {
      const links = groupLinks();
      for (const zone of joined.keys()) {
        if (!links.some((link) => link.zone === zone)) joined.delete(zone);
      }
      for (const link of links) join(link);
    },
    zones: () => [...joined.keys()],
  };
}

/** Opens a socket on an address; undefined, and logged, where that is impossible. */
export type Hear = (address: string, accepts: (from: UdpPeer) => boolean) => Promise<UdpSocket | undefined>;

/** Sockets that hear the discovery group on the links of one address. */
export interface GroupSockets {
  /** Opens the sockets of links that are new, and replaces those of links that were made again. */
  look(): Promise<void>;
  close(): Promise<void>;
}

export function createGroupSockets(listenIp: string, hear: Hear, log: Logger): GroupSockets {
  const open = new Map<string, { readonly id: string; readonly socket: UdpSocket }>();
  let last: Promise<void> = Promise.resolve();
  let closed = false;

  async function hearOn(link: NetworkInterface): Promise<void> {
    const { zone } = link;
    const former = open.get(zone);
    if (closed || former?.id === idOf(link)) return;
    const socket = await hear(`${DISCOVERY_GROUP}%${zone}`, () => true);
    const error = socket?.join(DISCOVERY_GROUP, zone);
    if (error) {
      logFailure(log, link, error);
      await socket?.close();
    } else if (socket) {
      open.set(zone, { id: idOf(link), socket });
      await former?.socket.close();
    }
  }

  async function look(): Promise<void> {
    try {
      for (const link of linksOf(listenIp)) await hearOn(link);
    } catch (error) {
      // The interfaces cannot be listed now, perhaps because descriptors ran out: the next look tries again.
      log.debug('Cannot look for new interfaces', { error: messageOf(error) });
    }
  }

  return {
    // One look at a time, since a slow one may last until the next.
    look: () => (last = last.then(look)),
    async close() {
      closed = true;
      await last;
      for (const { socket } of open.values()) await socket.close();
    },
  };
}

function groupLinks(): NetworkInterface[] {
  return listInterfaces().filter(({ linkLocal }) => linkLocal !== undefined);
}

function linksOf(listenIp: string): NetworkInterface[] {
  const [address = '', zone] = listenIp.toLowerCase().split('%');
  return groupLinks().filter((link) => (zone ? link.zone === zone : link.ipv6.includes(address)));
}

/** A link that was made again under its old name has another number, though maybe the same address. */
function idOf({ linkLocal = '', scope = 0 }: NetworkInterface): string {
  return `${linkLocal}%${scope}`;
}

function logFailure(log: Logger, { name }: NetworkInterface, error: Error): void {
  log.debug('Cannot join the discovery group', { interface: name, error: socketErrorName(error) });
}
