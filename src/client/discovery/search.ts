import { lookup } from 'node:dns/promises';
import { isIP, isIPv6 } from 'node:net';
import { formatAddress, type HostPort, parseAddress } from '../../protocol/addresses/address.ts';
import type { Challenge, Question, Reply } from '../../protocol/discovery/datagrams.ts';
import {
  inSubnet,
  isLinkLocal,
  listInterfaces,
  type NetworkInterface,
  withoutZone,
} from '../../runtime/network/interfaces.ts';
import { reasonWithCode } from '../../runtime/network/connection-errors.ts';
import { openUdp, sourceTowards, type UdpPeer, type UdpSocket } from '../../runtime/network/udp.ts';
import { chooseInterfaces, planRoutes } from './routes.ts';

/** A broker's reply: the first from this address and port to this question. */
export interface RespondingBroker {
  /** IP address that the reply came from; an IPv6 link-local one with its zone. */
  readonly address: string;
  /** TCP port of the API: from the reply, or, in the open form, the UDP port that the reply came from. */
  readonly port: number;
  /** Interface that the reply was seen on, if the query left by a known one. */
  readonly interface?: string;
  /** Milliseconds since the search began. */
  readonly at: number;
  readonly reply: Reply;
}

/** The outcome of the queries to one address. */
export interface Attempt {
  /** Interface that they left by; absent for targets, for which the system's routes decide. */
  readonly interface?: string;
  /** Address and port asked, or the target as it was given. */
  readonly to: string;
  /** How many were handed to the network. */
  readonly sent: number;
  /** The last error, such as `no route to that network [ENETUNREACH]`; absent when the last one was sent. */
  readonly error?: string;
}

export interface SearchOptions {
  /** The questions. Each has its own sockets, by which its replies are recognised. */
  readonly questions: readonly Question[];
  /** UDP port to ask, also for targets that name none. */
  readonly port: number;
  /** Unicast or directed addresses to ask too: HOST or HOST:PORT. */
  readonly targets?: readonly string[] | undefined;
  /** Names of the only interfaces to use, while they exist; absent or empty: every one that is up. */
  readonly interfaces?: readonly string[] | undefined;
  /**
   * Called with each responder, of at most 250 to a question, 16 of them at one address; `question` is the
   * index of the question that it answers.
   */
  onReply(responder: RespondingBroker, question: number): void;
}

/** A search for brokers: its sockets listen all the time, and send when `ask` is called. */
export interface Search {
  /**
   * Asks every question everywhere once, over the interfaces that are up now. It never rejects: see
   * `attempts`.
   */
  ask(): Promise<void>;
  attempts(): Attempt[];
  /** How many datagrams arrived that answer none of the questions. */
  rejected(): number;
  close(): Promise<void>;
}

const RESOLVE_AGAIN_MS = 1000;
/**
 * The most responders to one question, and those at one address: in the open form each is asked for its
 * identity, over a connection of its own. One host can answer from thousands of ports.
 */
const MAX_RESPONDERS = 250;
export const MAX_AT_ADDRESS = 16;

interface Way {
  readonly interface?: string;
  readonly family: 4 | 6;
  readonly from: string;
  readonly zone?: string | undefined;
}

/** @throws BrokerError `usage` for a target that is not an address. */
export function openSearch(options: SearchOptions): Search {
  const { questions, interfaces: wanted, onReply } = options;
  const began = performance.now();
  const targets = (options.targets ?? []).map((text) => parseAddress(text, 'target', options.port));
  const limited = wanted !== undefined && wanted.length > 0;
  const sockets = new Map<string, Promise<UdpSocket>>();
  const attempts = new Map<string, Attempt>();
  /** The ports that have answered each question, by address. */
  const seen = questions.map(() => new Map<string, Set<number>>());
  const resolve = createResolver();
  let rejected = 0;
  let rounds = 0;
  let closed = false;

  const receive = (index: number, way: Way, datagram: Uint8Array, from: UdpPeer): void => {
    if (closed) return;
    const reply = questions[index]?.read(datagram);
    const known = seen[index];
    if (!reply || !known) {
      rejected += 1;
      return;
    }
    const unzoned = isLinkLocal(from.address) && !from.address.includes('%') && way.zone !== undefined;
    const address = unzoned ? `${from.address}%${way.zone}` : from.address;
    const ports = known.get(address) ?? new Set<number>();
    if (ports.has(from.port)) return;
    if (reply.form === 'challenge') {
      void takeUp(reply, index, way, { address, port: from.port });
      return;
    }
    const all = [...known.values()].reduce((sum, { size }) => sum + size, 0);
    if (ports.size >= MAX_AT_ADDRESS || all >= MAX_RESPONDERS) return;
    known.set(address, ports.add(from.port));
    const at = performance.now() - began;
    const on = way.interface === undefined ? {} : { interface: way.interface };
    const port = reply.form === 'keyed' ? reply.port : from.port;
    onReply({ address, port, ...on, at, reply }, index);
  };

  /**
   * Repeats the question to a broker that asks for proof that it is fresh. A failure is left to the next
   * round.
   */
  const takeUp = async ({ query }: Challenge, index: number, way: Way, to: UdpPeer): Promise<void> => {
    const socket = await socketOf(index, way).catch(() => undefined);
    if (!closed) await socket?.send(query, to);
  };

  /** The socket of one question on one way. It is opened once, and again after a failure. */
  const socketOf = (index: number, way: Way): Promise<UdpSocket> => {
    const id = idOf(index, way);
    const open = sockets.get(id);
    if (open) return open;
    const socket = openUdp({
      family: way.family,
      address: way.from,
      broadcast: true,
      onMessage: (datagram, from) => receive(index, way, datagram, from),
    });
    sockets.set(id, socket);
    socket.catch(() => sockets.delete(id));
    return socket;
  };

  /**
   * A link that was replaced under its old name needs a new socket, because an IPv6 socket is bound to the
   * link itself.
   */
  const drop = async (index: number, way: Way, socket: UdpSocket): Promise<void> => {
    sockets.delete(idOf(index, way));
    await socket.close();
  };

  const note = (label: { interface?: string; to: string }, sent: number, error?: unknown): void => {
    const id = `${label.interface ?? ''} ${label.to}`;
    const before = attempts.get(id)?.sent ?? 0;
    const outcome = error === undefined ? {} : { error: reasonWithCode(error) };
    attempts.set(id, { ...label, sent: before + sent, ...outcome });
  };

  const send = async (round: number, way: Way, to: UdpPeer, named?: string): Promise<void> => {
    const on = way.interface === undefined ? {} : { interface: way.interface };
    const label = { ...on, to: named ?? formatAddress({ host: to.address, port: to.port }) };
    const datagrams = questions.flatMap((question, index) =>
      question.queries(round).map((datagram) => ({ index, datagram })),
    );
    for (const { index, datagram } of datagrams) {
      if (closed) return;
      try {
        const socket = await socketOf(index, way);
        const error = await socket.send(datagram, to);
        if (closed) return;
        note(label, error === undefined ? 1 : 0, error);
        if (error && way.zone !== undefined) await drop(index, way, socket);
      } catch (error) {
        note(label, 0, error);
      }
    }
  };

  const askTarget = async (
    round: number,
    target: HostPort,
    chosen: readonly NetworkInterface[],
  ): Promise<void> => {
    const named = formatAddress(target);
    try {
      for (const address of await resolve(target.host)) {
        const peer = { address, port: target.port };
        await send(round, await wayTo(peer, limited ? chosen : undefined), peer, named);
      }
    } catch (error) {
      note({ to: named }, 0, error);
    }
  };

  return {
    async ask() {
      const round = rounds++;
      // An interface that is gone now may come back.
      const chosen = chooseInterfaces(listInterfaces(), wanted, wanted ?? []);
      const routes = planRoutes(chosen).flatMap((route) => {
        const zone = route.from.split('%')[1];
        return route.to.map((address) => send(round, { ...route, zone }, { address, port: options.port }));
      });
      await Promise.all([...routes, ...targets.map((target) => askTarget(round, target, chosen))]);
    },
    attempts: () => [...attempts.values()],
    rejected: () => rejected,
    async close() {
      closed = true;
      for (const socket of sockets.values()) {
        await socket.then((open) => open.close()).catch(() => undefined);
      }
    },
  };
}

function idOf(question: number, way: Way): string {
  return `${question} ${way.interface ?? ''} ${way.from}`;
}

/**
 * How to reach a target: as the system routes. When only some interfaces may be used, the route must use one
 * of them.
 * @throws Error when it does not, or when the route is unknown.
 */
async function wayTo(to: UdpPeer, allowed: readonly NetworkInterface[] | undefined): Promise<Way> {
  const family = isIPv6(to.address) ? 6 : 4;
  const anywhere = { family, from: family === 4 ? '0.0.0.0' : '::' } as const;
  const [, zone] = to.address.split('%');
  if (!allowed || allowed.some((link) => link.zone === zone)) return anywhere;
  const from = zone === undefined ? await sourceTowards(family, to) : undefined;
  if (from === undefined) throw new Error('no route over the allowed interfaces');
  // When the runtime does not say which route it uses, only the interfaces' own subnets are certain.
  const isBy = ({ ipv4, ipv6 }: NetworkInterface): boolean =>
    from === 'unknown'
      ? family === 4 && ipv4.some((own) => inSubnet(to.address, own))
      : ipv4.some(({ address }) => address === from) || ipv6.includes(withoutZone(from));
  if (!allowed.some(isBy)) throw new Error('the route uses an interface that is not allowed');
  return anywhere;
}

/**
 * Resolves host names, each at most once a second: a search may take long, and a name may get another address
 * meanwhile.
 */
function createResolver(): (host: string) => Promise<readonly string[]> {
  const cache = new Map<string, { readonly at: number; readonly found: Promise<readonly string[]> }>();
  return (host) => {
    if (isIP(withoutZone(host)) !== 0) return Promise.resolve([host]);
    const known = cache.get(host);
    const at = performance.now();
    if (known && at - known.at < RESOLVE_AGAIN_MS) return known.found;
    const found = lookup(host, { all: true }).then((list) => list.map(({ address }) => address));
    cache.set(host, { at, found });
    found.catch(() => cache.delete(host));
    return found;
  };
}
