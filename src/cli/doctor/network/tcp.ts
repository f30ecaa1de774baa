import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { identifyBroker } from '../../../client/trust/identify.ts';
import type { Seen } from '../../../client/discovery/responders.ts';
import {
  canonicalAddress,
  DEFAULT_PORT,
  formatAddress,
  type HostPort,
  readAddress,
} from '../../../protocol/addresses/address.ts';
import { messageOf } from '../../../protocol/errors.ts';
import { reasonWithCode } from '../../../runtime/network/connection-errors.ts';
import { inSubnet, isLoopback, type NetworkInterface } from '../../../runtime/network/interfaces.ts';

/** The result of a connection to an address. */
export type TcpOutcome =
  | { readonly ok: true; readonly ms: number }
  /** `refused`: the host answers, but nothing listens there, or a firewall rejects. `silent`: no answer. */
  | { readonly ok: false; readonly kind: 'refused' | 'silent' | 'other'; readonly reason: string };

const reasons: Readonly<Record<string, readonly ['refused' | 'silent' | 'other', string]>> = {
  ECONNREFUSED: ['refused', 'connection refused'],
  ECONNRESET: ['refused', 'the connection was reset'],
  ETIMEDOUT: ['silent', 'nothing came back'],
  EHOSTUNREACH: ['silent', 'no route to that host, or it is off'],
  EHOSTDOWN: ['silent', 'the host is down'],
  ENETUNREACH: ['other', 'no route to that network'],
  ENOTFOUND: ['other', 'no such host name'],
  EAI_AGAIN: ['other', 'the host name could not be looked up'],
  EPERM: ['other', 'not permitted: a firewall of this host'],
  EACCES: ['other', 'not permitted: a firewall of this host'],
};

/** Opens a connection and closes it; sends nothing. It never rejects. */
export function connectTcp({ host, port }: HostPort, ms: number): Promise<TcpOutcome> {
  const began = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    const end = (outcome: TcpOutcome): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(outcome);
    };
    const timer = setTimeout(() => end({ ok: false, kind: 'silent', reason: 'nothing came back' }), ms);
    socket.once('connect', () => end({ ok: true, ms: performance.now() - began }));
    // The listener stays: later errors do not matter.
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const [kind, reason] = reasons[error.code ?? ''] ?? ['other', reasonWithCode(error)];
      end({ ok: false, kind, reason });
    });
  });
}

/** The broker that answers TLS at an address; else why it is not a broker. */
export async function whoIs({ host, port }: HostPort, ms: number): Promise<Seen | { readonly why: string }> {
  const limit = AbortSignal.timeout(Math.ceil(ms));
  try {
    const responder = { address: host, port, at: 0, reply: { form: 'open' } } as const;
    const seen = await Promise.race([
      identifyBroker(responder, limit),
      new Promise<never>((_resolve, reject) => {
        limit.addEventListener('abort', () => reject(new Error('no answer in time')), { once: true });
      }),
    ]);
    return typeof seen === 'object' ? seen : { why: 'it does not identify itself' };
  } catch (error) {
    return { why: messageOf(error) };
  }
}

/** An address that may have a broker, though no search has found one there. */
export interface Candidate extends HostPort {
  readonly from: 'target' | 'known' | 'neighbour' | 'host';
}

/** How many are tried, the likeliest first. */
const MAX_CANDIDATES = 32;

/**
 * Addresses that may have a broker: those where this user has met one, and hosts that this one has exchanged
 * packets with lately (Linux only).
 * @param allowed the interfaces that may be used, if they are limited.
 */
export async function candidatesOf(options: {
  readonly known: Iterable<string>;
  readonly targets: readonly string[];
  readonly port: number;
  readonly own: HostPort | undefined;
  readonly allowed: readonly NetworkInterface[] | undefined;
}): Promise<Candidate[]> {
  const { port, allowed } = options;
  const all: Candidate[] = [
    ...options.targets.flatMap((text) => withSource(readAddress(text, port), 'target')),
    ...withSource(options.own, 'host'),
    ...[...options.known].flatMap((text) => withSource(readAddress(text, DEFAULT_PORT), 'known')),
    ...(await neighbours()).flatMap((host) => withSource({ host, port }, 'neighbour')),
  ];
  const seen = new Set<string>();
  return all
    .filter(({ host, from }) => from === 'target' || mayUse(host, allowed))
    .filter((one) => {
      const place = formatAddress(canonicalAddress(one));
      return !seen.has(place) && seen.add(place);
    })
    .slice(0, MAX_CANDIDATES);
}

function withSource(address: HostPort | undefined, from: Candidate['from']): Candidate[] {
  return address ? [{ ...address, from }] : [];
}

function mayUse(host: string, allowed: readonly NetworkInterface[] | undefined): boolean {
  if (!allowed) return true;
  if (isLoopback(host) || host === 'localhost') return allowed.some(({ loopback }) => loopback);
  return isIpv4(host) && allowed.some(({ ipv4 }) => ipv4.some((own) => inSubnet(host, own)));
}

/**
 * Whether a host is this one, or an IPv4 address in one of its subnets; `undefined` for IPv6 and for names.
 */
export function isNear(host: string, interfaces: readonly NetworkInterface[]): boolean | undefined {
  if (isLoopback(host)) return true;
  if (!isIpv4(host)) return undefined;
  return interfaces.some(({ ipv4 }) => ipv4.some((own) => inSubnet(host, own)));
}

function isIpv4(host: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(host);
}

/** Hosts in the tables of neighbours and routes, IPv4 only. */
async function neighbours(): Promise<string[]> {
  const [arp, routes] = await Promise.all([table('/proc/net/arp'), table('/proc/net/route')]);
  const gateways = routes.flatMap(([, , gateway = '']) =>
    /^[0-9A-F]{8}$/.test(gateway) ? gatewayOf(gateway) : [],
  );
  // Flag 2: the entry is complete.
  const met = arp.flatMap(([address = '', , flags = '0x0']) => ((Number(flags) & 2) === 2 ? address : []));
  return [...met, ...gateways].filter((host) => isIpv4(host) && host !== '0.0.0.0');
}

/** The rows of a kernel table without its head; none when there is no such table. */
async function table(file: string): Promise<string[][]> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/));
}

/** `FE014D0A` is 10.77.1.254: the bytes of the address as a number of this machine, which is little-endian. */
function gatewayOf(hex: string): string {
  return (hex.match(/../g) ?? [])
    .toReversed()
    .map((byte) => parseInt(byte, 16))
    .join('.');
}
