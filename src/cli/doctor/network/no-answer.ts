import type { JsonObject } from '../../../protocol/formats/data.ts';
import { DEFAULT_PORT, formatAddress, type HostPort } from '../../../protocol/addresses/address.ts';
import type { Deadline } from '../../../client/connection/retry.ts';
import { proveBroker } from '../../../client/trust/proof.ts';
import { BrokerError } from '../../../protocol/errors.ts';
import { shellWord } from '../../../protocol/formats/shell-word.ts';
import type { NetworkInterface } from '../../../runtime/network/interfaces.ts';
import { askAddress, type Questions } from './discovery-queries.ts';
import type { Firewall } from '../host/firewall.ts';
import { type Host, ownAddress } from '../host/host.ts';
import { type Candidate, connectTcp, isNear, whoIs } from './tcp.ts';
import type { Problem } from '../report.ts';
import { brokerOf, commandLine, addressText, type Subject } from '../subject.ts';
import { stepLimit } from '../step-limit.ts';

/** What was tried when nobody answered. */
export interface NoAnswer {
  readonly tried: readonly Tried[];
  readonly host: Host;
  /** The subnets that were asked. */
  readonly subnets: readonly string[];
  /** Whether this is a container. */
  readonly isInside: boolean;
  /** Whether any query left this host. */
  readonly isSent: boolean;
  /** Replies that were not made with the discovery key. */
  readonly rejected: number;
}

/** One address that may have a broker. */
export interface Tried extends Candidate {
  readonly isBroker: boolean;
  /** Whether it answers on UDP when it is asked alone. */
  readonly answersUdp: boolean;
  /** Whether it answers on UDP that it has the entry. */
  readonly holds: boolean;
  readonly isOpen: boolean;
  /** Whether it proves that it has the discovery key; `undefined` when that was not asked. */
  readonly proves: boolean | undefined;
  /** Whether it is in a subnet of this host. */
  readonly isNear: boolean | undefined;
  readonly facts: JsonObject;
}

const CONNECT_MS = 1000;
const IDENTIFY_MS = 1500;
const UNICAST_MS = 1000;

/** Looks for a broker at each of the addresses. */
export async function tryCandidates(
  candidates: readonly Candidate[],
  options: {
    readonly questions: Questions;
    readonly key: string | undefined;
    readonly interfaces: readonly NetworkInterface[];
    readonly deadline: Deadline;
  },
): Promise<Tried[]> {
  const { questions, key, interfaces, deadline } = options;
  const tried = await Promise.all(
    candidates.map(async (candidate): Promise<Tried> => {
      const [tcp, udp] = await Promise.all([
        connectTcp(candidate, stepLimit(deadline, CONNECT_MS)),
        // A neighbour may be any host: it is asked only once it has shown to be a broker.
        candidate.from === 'neighbour'
          ? undefined
          : askAddress(candidate, questions, stepLimit(deadline, UNICAST_MS)),
      ]);
      const seen = tcp.ok ? await whoIs(candidate, stepLimit(deadline, IDENTIFY_MS)) : undefined;
      const isBroker =
        seen !== undefined &&
        'fingerprint' in seen &&
        (seen.id !== undefined || candidate.from !== 'neighbour');
      const answer =
        isBroker && !udp ? await askAddress(candidate, questions, stepLimit(deadline, UNICAST_MS)) : udp;
      const answersUdp = answer?.answers ?? false;
      const proves = isBroker && key !== undefined ? await hasKey(candidate, key, deadline) : undefined;
      return {
        ...candidate,
        proves,
        isBroker,
        answersUdp,
        holds: answer?.holds ?? false,
        isOpen: tcp.ok,
        isNear: isNear(candidate.host, interfaces),
        facts: {
          address: formatAddress(candidate),
          from: candidate.from,
          tcp: tcp.ok ? 'open' : tcp.reason,
          udp: answersUdp ? 'answers' : (answer?.error ?? 'silent'),
          broker: isBroker,
        },
      };
    }),
  );
  return tried.filter(({ isBroker, answersUdp, from }) => isBroker || answersUdp || from !== 'neighbour');
}

/** Whether a broker proves that it has the key; `undefined` when it cannot be asked now. */
async function hasKey(address: Candidate, key: string, deadline: Deadline): Promise<boolean | undefined> {
  try {
    await proveBroker(address, key, undefined, stepLimit(deadline, IDENTIFY_MS));
    return true;
  } catch (error) {
    return error instanceof BrokerError && error.code === 'identity_mismatch' ? false : undefined;
  }
}

/** The likely reason why nobody answers, and the remedy. */
export function noAnswerProblem(silence: NoAnswer, subject: Subject, firewall: Firewall): Problem {
  const { tried, host } = silence;
  const found = likeliest(tried, subject.port);
  const { port } = subject;
  const lost = { protocol: 'udp', port } as const;
  const drop =
    firewall.drops('output', { ...lost, end: 'dport' }) ?? firewall.drops('input', { ...lost, end: 'sport' });
  if (host.isRunning && host.isKeyed && subject.key === undefined)
    return keyMissing(ownAddress(host, port), subject);
  if (drop)
    return {
      cause: 'udp_blocked',
      message: `No broker answered, and this host's own firewall drops what is needed: ${drop.place}.`,
      advice: `Let UDP port ${port} through:`,
      where: 'here',
      command: drop.command,
    };
  if (found) return foundElsewhere(found, silence, subject);
  const silent = tried.find(({ answersUdp, isOpen }) => answersUdp && !isOpen);
  if (silent)
    return {
      cause: 'tcp_blocked',
      message: `The broker at ${addressText(silent)} answers on UDP when it is asked alone, but accepts no connections on TCP: a firewall is in between.`,
      advice: `Let TCP port ${silent.port} in at ${silent.host}. 'bpbroker doctor' there names the rule if it can.`,
      where: 'broker',
    };
  return nowhere(silence, subject);
}

/** The likeliest broker: one that has the entry; else one at the port that was asked; else any. */
function likeliest(tried: readonly Tried[], asked: number): Tried | undefined {
  const brokers = tried.filter(({ isBroker }) => isBroker);
  return brokers.find(({ holds }) => holds) ?? brokers.find(({ port }) => port === asked) ?? brokers[0];
}

function foundElsewhere(found: Tried, { subnets, rejected }: NoAnswer, subject: Subject): Problem {
  const at = addressText(found);
  const target = { host: found.host, port: found.port };
  if (found.answersUdp && found.isNear !== true)
    return {
      cause: 'other_subnet',
      message: `A broker is at ${at}, outside of this host's subnets (${subnets.join(', ') || 'none'}): broadcasts end at the router.`,
      advice: 'Ask it by its address:',
      where: 'here',
      command: commandLine(subject, 'discover', { target }),
    };
  if (found.answersUdp && found.port !== subject.port) return wrongPort(found, subject);
  if (found.answersUdp)
    return {
      cause: 'broadcast_blocked',
      message: `The broker at ${at} answers when it is asked alone, but not to broadcasts: a switch, a firewall or a virtual network drops those.`,
      advice: 'Ask it by its address:',
      where: 'here',
      command: commandLine(subject, 'discover', { target }),
    };
  if (found.proves === false || (subject.key !== undefined && found.proves !== true && rejected > 0))
    return {
      cause: 'discovery_key_refused',
      message: `The broker at ${at} has no discovery key, or another one than this host, so they do not find each other.`,
      advice: `Compare the key's file with discover._access_key in the broker's configuration.`,
      where: 'here',
    };
  const keyed =
    subject.key === undefined
      ? ', or it has a discovery key, which this host would need too (--discover-key-file)'
      : '';
  const far = found.isNear === false ? ' It is in another subnet than this host.' : '';
  return {
    cause: 'udp_blocked',
    message: `The broker at ${at} accepts connections on TCP, but nothing comes back on UDP port ${found.port}: a firewall drops it${keyed}.${far}`,
    advice: `Let UDP port ${found.port} in at ${found.host} ('bpbroker doctor' there names the rule if it can). Until then, name the broker:`,
    where: 'broker',
    command: commandLine(subject, 'ping', { broker: target }),
  };
}

/**
 * The problem when broadcasts went to another port than the broker's. That says nothing about the network.
 */
function wrongPort(found: Tried, subject: Subject): Problem {
  const isUsual = found.port === DEFAULT_PORT;
  return {
    cause: 'no_broker',
    message: `The queries went to UDP port ${subject.port}; a broker answers on ${found.port}, at ${found.host}.`,
    advice: isUsual ? 'Leave --port out:' : 'Name that port with --port:',
    where: 'here',
    command: commandLine({ ...subject, port: found.port }, 'doctor'),
  };
}

function keyMissing(own: HostPort, subject: Subject): Problem {
  // The key alone would not find it: the queries went to another port.
  const also = own.port === subject.port ? '' : `, and --port ${own.port}`;
  return {
    cause: 'discovery_key_missing',
    message:
      "This host's broker has a discovery key, and answers only clients that have it too; none was given here.",
    advice: `Give the key: --discover-key-file FILE, or the variable BPBROKER_DISCOVER_KEY${also}. By its address it is reached without a key:`,
    where: 'here',
    command: commandLine(subject, 'ping', { broker: own }),
  };
}

function nowhere({ tried, host, subnets, isInside, isSent }: NoAnswer, subject: Subject): Problem {
  const base = { cause: 'no_broker', where: 'here' } as const;
  if (!isSent)
    return {
      ...base,
      message: 'No query could be sent: every interface refused it.',
      advice: 'Look at the network of this host: its addresses and routes.',
    };
  const where = subnets.length > 0 ? ` in ${subnets.join(', ')}` : ' on this host';
  const isUsual = subject.port === DEFAULT_PORT;
  const asked = isUsual ? '' : ` on UDP port ${subject.port}`;
  const what = `Nobody answered for ${brokerOf(subject)}${where}${asked}`;
  if (host.file !== undefined && host.isRunning === false)
    return {
      ...base,
      message: `${what}, and the broker of this host, ${host.file}, does not run.`,
      advice: 'Start it:',
      command: `bpbroker start --config ${shellWord(host.file)}`,
    };
  const known = tried.filter(({ from }) => from === 'known');
  const before =
    known.length > 0
      ? `, nor at the address of a broker that was met before (${known.map((one) => addressText(one)).join(', ')})`
      : '';
  const inside = isInside ? ' This is a container, whose broadcasts may end at its host.' : '';
  const elsewhere = `If one runs where broadcasts do not arrive, name it: ${subject.program} doctor --target ADDRESS`;
  const message = `${what}${before}.${inside}`;
  if (!isUsual)
    return {
      ...base,
      message,
      advice: `Leave --port out first: a broker has port ${DEFAULT_PORT} unless its configuration sets another. To start one on port ${subject.port}: bpbroker start --listen-port ${subject.port}. ${elsewhere}. Without --port:`,
      command: commandLine({ ...subject, port: DEFAULT_PORT }, 'doctor'),
    };
  return {
    ...base,
    where: 'broker',
    message,
    advice: `Start one on the host that is to be the broker. ${elsewhere}.`,
    command: 'bpbroker start',
  };
}

/** The subnets of interfaces, such as `10.77.1.0/24`. */
export function subnetsOf(interfaces: readonly NetworkInterface[]): string[] {
  return interfaces
    .filter(({ loopback }) => !loopback)
    .flatMap(({ ipv4 }) => ipv4.map(({ address, netmask }) => subnetOf(address, netmask)));
}

function subnetOf(address: string, netmask: string): string {
  const mask = netmask.split('.').map(Number);
  const net = address.split('.').map((part, index) => Number(part) & (mask[index] ?? 255));
  const bits = mask.map((part) => part.toString(2).replaceAll('0', '').length).reduce((sum, n) => sum + n, 0);
  return `${net.join('.')}/${bits}`;
}
