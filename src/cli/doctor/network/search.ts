import { areRivals, type FoundBroker, identifyBrokers } from '../../../client/discovery/responders.ts';
import type { RespondingBroker } from '../../../client/discovery/search.ts';
import { parseFingerprint } from '../../../protocol/formats/fingerprint.ts';
import type { Deadline } from '../../../client/connection/retry.ts';
import { formatAddress, type HostPort } from '../../../protocol/addresses/address.ts';
import { formatDuration } from '../../../protocol/formats/duration.ts';
import type { Json } from '../../../protocol/formats/data.ts';
import { type Answers, askAddress, askNetwork, factsOf, type Questions } from './discovery-queries.ts';
import type { Firewall } from '../host/firewall.ts';
import { findElsewhere, wrongAddress, type OwnBroker } from './wrong-address.ts';
import { connectTcp, type TcpOutcome, whoIs } from './tcp.ts';
import { type Check, type Problem, sentence } from '../report.ts';
import { type NoAnswer, noAnswerProblem } from './no-answer.ts';
import { commandLine, addressText, type Subject } from '../subject.ts';
import { stepLimit } from '../step-limit.ts';

/** The result of the checks of the network. */
export interface Network {
  readonly checks: readonly Check[];
  /** The broker to examine further; `undefined` when there is none, or several. */
  readonly broker: FoundBroker | HostPort | undefined;
  /** Whether it holds the name; `undefined` when that is not known yet. */
  readonly isHolder?: boolean;
}

/** Longest time to listen for answers, and to try one address, in milliseconds. */
const ASK_MS = 3000;
const CONNECT_MS = 2000;
const UNICAST_MS = 1200;

interface Options {
  readonly subject: Subject;
  readonly questions: Questions;
  readonly deadline: Deadline;
  readonly firewall: Firewall;
  /** The only identity to accept: it chooses one of several. */
  readonly fingerprint: string | undefined;
}

/**
 * Checks a named broker: whether it answers UDP and TCP at its address.
 * @param others ports at which the same host may have a broker, and what is known of this host's own.
 */
export async function examineAddress(
  address: HostPort,
  options: Options & { readonly others: readonly number[]; readonly own: OwnBroker | undefined },
): Promise<Network> {
  const { questions, deadline } = options;
  const [udp, tcp] = await Promise.all([
    askAddress(address, questions, stepLimit(deadline, UNICAST_MS)),
    connectTcp(address, stepLimit(deadline, CONNECT_MS)),
  ]);
  const at = addressText(address);
  const discovery: Check = udp.answers
    ? {
        id: 'discovery',
        status: 'ok',
        says: `${at} answers on UDP after ${Math.round(udp.ms ?? 0)} ms`,
        facts: { answers: true, holds_name: udp.holds, ms: Math.round(udp.ms ?? 0) },
      }
    : {
        id: 'discovery',
        status: 'warn',
        says: `no answer on UDP from ${at}${udp.error === undefined ? '' : ` (${udp.error})`}; --bpbroker needs none`,
        facts: { answers: false, error: udp.error ?? null },
      };
  const seen = tcp.ok ? await whoIs(address, stepLimit(deadline, CONNECT_MS)) : undefined;
  const none: Check = { id: 'brokers', status: 'skip', says: 'the broker is named, so none is searched for' };
  if (!tcp.ok) {
    const problem = udp.answers
      ? tcpBlocked(address, tcp, options)
      : wrongAddress(address, tcp, { ...options, elsewhere: await findElsewhere(address, tcp, options) });
    return { checks: [discovery, tcpCheck(address, tcp, problem), none], broker: undefined };
  }
  if (seen && 'why' in seen) {
    const problem: Problem = {
      cause: 'no_broker',
      message: sentence(`Something listens at ${at}, but it is not a working broker: ${seen.why}`),
      advice: `Check the address and the port; a broker is started with 'bpbroker start'.`,
      where: 'broker',
    };
    return {
      checks: [discovery, { ...tcpCheck(address, tcp, problem), says: seen.why }, none],
      broker: undefined,
    };
  }
  return {
    checks: [discovery, tcpCheck(address, tcp), none],
    broker: { ...address, ...(seen && 'fingerprint' in seen ? { seen } : {}) },
    ...(udp.holds ? { isHolder: true } : {}),
  };
}

/** Checks without a named broker: which brokers answer on the network, and where others may be. */
export async function searchNetwork(
  options: Options & {
    readonly targets: readonly string[];
    readonly interfaces: readonly string[];
    /** Looks for brokers that did not answer. */
    readonly silence: (answers: Answers) => Promise<NoAnswer>;
  },
): Promise<Network> {
  const { subject, questions, deadline } = options;
  // A third of the time is kept for the later steps.
  const askMs = Math.min(ASK_MS, (deadline.left() * 2) / 3);
  const answers = await askNetwork({
    questions,
    port: subject.port,
    targets: options.targets,
    interfaces: options.interfaces,
    ms: askMs,
  });
  const facts = factsOf(answers, subject.key === undefined ? 'open' : 'keyed');
  const isHolder = answers.holders.length > 0;
  const responders = isHolder ? answers.holders : answers.any;
  if (responders.length === 0) {
    const silence = await options.silence(answers);
    const problem = noAnswerProblem(silence, subject, options.firewall);
    const says = `no answer within ${formatDuration(askMs)}${asked(answers)}`;
    const checks: Check[] = [
      {
        id: 'discovery',
        status: 'fail',
        says: answers.attempts.every(({ sent }) => sent === 0) ? 'no query could be sent' : says,
        facts: { ...facts, tried: silence.tried.map((one): Json => ({ ...one.facts })) },
        problem,
      },
      silentTcp(silence),
      { id: 'brokers', status: 'fail', says: 'none' },
    ];
    return { checks, broker: undefined };
  }
  const discovery: Check = {
    id: 'discovery',
    status: 'ok',
    says: `${responders.map(({ address, at }) => `${address} after ${Math.round(at)} ms`).join(', ')}${asked(answers)}`,
    facts,
  };
  return { ...(await examineResponders(responders, options, isHolder, discovery)), isHolder };
}

async function examineResponders(
  responders: readonly RespondingBroker[],
  options: Options,
  isHolder: boolean,
  discovery: Check,
): Promise<Network> {
  const { subject, deadline } = options;
  const outcomes = await Promise.all(
    responders.map(async ({ address: host, port }) => ({
      address: { host, port },
      tcp: await connectTcp({ host, port }, stepLimit(deadline, CONNECT_MS)),
    })),
  );
  const open = responders.filter((_one, index) => outcomes[index]?.tcp.ok);
  const [first] = outcomes;
  if (open.length === 0 && first && !first.tcp.ok) {
    const problem = tcpBlocked(first.address, first.tcp, options);
    return { checks: [discovery, tcpCheck(first.address, first.tcp, problem)], broker: undefined };
  }
  const best = outcomes.find(({ tcp }) => tcp.ok) ?? first;
  const tcp: Check[] = best ? [tcpCheck(best.address, best.tcp)] : [];
  const { brokers: all, failures } = await identifyBrokers(open, async ({ address: host, port }) => {
    const seen = await whoIs({ host, port }, stepLimit(deadline, CONNECT_MS));
    if ('why' in seen) throw new Error(seen.why);
    return seen;
  });
  const brokers = withIdentity(all, options.fingerprint);
  const [broker] = brokers;
  const facts = {
    brokers: byAddress(brokers).map(({ host, port, addresses, seen }): Json => ({
      address: formatAddress({ host, port }),
      addresses: [...addresses],
      fingerprint: seen ? `sha256:${seen.fingerprint}` : null,
      id: seen?.id ?? null,
      instance: seen?.instance ?? null,
    })),
  };
  if (!broker) {
    const problem: Problem = {
      cause: 'no_broker',
      message: sentence(
        `A host answers discovery, but no broker can be reached there: ${failures.join('; ')}`,
      ),
      advice: 'Look at the log of that broker, or restart it.',
      where: 'broker',
    };
    return {
      checks: [
        discovery,
        ...tcp,
        { id: 'brokers', status: 'fail', says: failures.join('; '), facts, problem },
      ],
      broker: undefined,
    };
  }
  if (areRivals(brokers)) {
    const problem = severalProblem(byAddress(brokers), subject, isHolder);
    const says = byAddress(brokers)
      .map((one) => addressText(one))
      .join(', ');
    return {
      checks: [
        discovery,
        ...tcp,
        { id: 'brokers', status: 'fail', says: `several: ${says}`, facts, problem },
      ],
      broker: undefined,
    };
  }
  const says =
    brokers.length === 1 ? `one, at ${broker.addresses.join(', ')}` : `${brokers.length} of one registry`;
  return { checks: [discovery, ...tcp, { id: 'brokers', status: 'ok', says, facts }], broker };
}

/**
 * The brokers with the named identity. When none has it, one broker, so that the check of the identity
 * reports the difference.
 */
function withIdentity(
  brokers: readonly FoundBroker[],
  fingerprint: string | undefined,
): readonly FoundBroker[] {
  if (fingerprint === undefined) return brokers;
  const hex = parseFingerprint(fingerprint);
  const matching = brokers.filter(({ seen }) => seen?.fingerprint === hex);
  return matching.length > 0 ? matching : byAddress(brokers).slice(0, 1);
}

/** Sorted, because the order of their answers is by chance and changes. */
function byAddress(brokers: readonly FoundBroker[]): FoundBroker[] {
  return brokers.toSorted((a, b) => (formatAddress(a) < formatAddress(b) ? -1 : 1));
}

function severalProblem(brokers: readonly FoundBroker[], subject: Subject, isHolder: boolean): Problem {
  const places = brokers.map((one) => addressText(one));
  const which = places.join(' and ');
  const [first] = brokers;
  const isCopied = new Set(brokers.map(({ seen }) => seen?.fingerprint ?? '')).size < brokers.length;
  const hold = isHolder && subject.name !== undefined ? ` hold '${subject.name}'` : ' answer';
  if (isCopied) {
    return {
      cause: 'copied_broker',
      message: `Copies of one broker run at ${which}: the same certificate, and two registries from now on.`,
      advice: `Stop all of them but one. Where one runs as a service: bpbroker uninstall-service.`,
      where: 'broker',
    };
  }
  return {
    cause: 'several_brokers',
    message: `${brokers.length} brokers${hold}: ${which}.`,
    advice: `Say which one you mean with --bpbroker (or the variable BPBROKER), or stop the others. For the first one:`,
    where: 'here',
    ...(first ? { command: commandLine(subject, 'doctor', { broker: first }) } : {}),
  };
}

function tcpCheck(address: HostPort, tcp: TcpOutcome, problem?: Problem): Check {
  const at = addressText(address);
  const facts = {
    address: formatAddress(address),
    open: tcp.ok,
    ...(tcp.ok ? { ms: Math.round(tcp.ms) } : { reason: tcp.reason }),
  };
  if (tcp.ok && problem === undefined)
    return { id: 'tcp', status: 'ok', says: `${at} accepts connections, in ${Math.round(tcp.ms)} ms`, facts };
  const says = tcp.ok ? at : `${at}: ${tcp.reason}`;
  return { id: 'tcp', status: 'fail', says, facts, ...(problem ? { problem } : {}) };
}

/** The problem when UDP gets through, and TCP does not. */
function tcpBlocked(address: HostPort, tcp: TcpOutcome, { firewall }: Options): Problem {
  const { port } = address;
  const drop = firewall.drops('output', { protocol: 'tcp', end: 'dport', port });
  const why = tcp.ok ? '' : ` (${tcp.reason})`;
  const message = `The broker at ${addressText(address)} answers on UDP, but accepts no connections on TCP port ${port}${why}: a firewall is in between.`;
  if (drop)
    return {
      cause: 'tcp_blocked',
      message: `${message} This host's own drops them: ${drop.place}.`,
      advice: `Let TCP port ${port} out:`,
      where: 'here',
      command: drop.command,
    };
  return {
    cause: 'tcp_blocked',
    message,
    advice: `Let TCP port ${port} in at ${address.host}. 'bpbroker doctor' there names the rule if it can.`,
    where: 'broker',
  };
}

function asked({ attempts }: Answers): string {
  const names = [...new Set(attempts.flatMap(({ interface: on }) => on ?? []))];
  const failed = attempts.filter(({ error }) => error !== undefined);
  const errors = failed.map(({ to, error }) => `${to}: ${error}`).join('; ');
  return `; asked on ${names.join(', ') || 'no interface'}${errors === '' ? '' : ` (failed: ${errors})`}`;
}

function silentTcp({ tried }: NoAnswer): Check {
  const open = tried.filter(({ isBroker }) => isBroker);
  if (open.length > 0)
    return {
      id: 'tcp',
      status: 'ok',
      says: `${open.map((one) => addressText(one)).join(', ')} accepts connections`,
    };
  const says =
    tried.length === 0
      ? 'no address to try'
      : tried.length === 1
        ? 'no broker at the one address that is known here'
        : `no broker at the ${tried.length} addresses that are known here`;
  return { id: 'tcp', status: 'skip', says };
}
