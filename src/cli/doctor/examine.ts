import { hostname } from 'node:os';
import { chooseInterfaces } from '../../client/discovery/routes.ts';
import { isNameKey } from '../../client/trust/name-key.ts';
import type { Deadline } from '../../client/connection/retry.ts';
import { DEFAULT_PORT, type HostPort, parseAddress, readAddress } from '../../protocol/addresses/address.ts';
import {
  interfaceNames,
  isLoopback,
  listInterfaces,
  type NetworkInterface,
  withoutZone,
} from '../../runtime/network/interfaces.ts';
import type { Arguments } from '../command.ts';
import type { UrlBroker } from '../session/url-broker.ts';
import { examineAccess } from './broker/access.ts';
import { questionsFor } from './network/discovery-queries.ts';
import { examineFirewall } from './host/firewall.ts';
import { examineHealth } from './broker/health.ts';
import { examineHost, type Host, ownAddress } from './host/host.ts';
import { examineIdentity, examineUrl, type Identified, openKnown } from './broker/identity.ts';
import { examineAddress, type Network, searchNetwork } from './network/search.ts';
import { candidatesOf } from './network/tcp.ts';
import { type Check, type CheckId, conclude, type Report } from './report.ts';
import { subnetsOf, tryCandidates } from './network/no-answer.ts';
import { addressText, type Subject } from './subject.ts';
import {
  examineContainer,
  examineInterfaces,
  examineProgram,
  examineProxy,
} from './host/host-environment.ts';
import { stepLimit } from './step-limit.ts';

export interface ExamineOptions {
  readonly args: Arguments;
  readonly subject: Subject;
  /** A broker that is named by a URL. */
  readonly urlBroker: UrlBroker | undefined;
  readonly accessKey: string | undefined;
  readonly deadline: Deadline;
}

const LOCAL_MS = 2500;
const CALL_MS = 3000;

/**
 * Checks the whole way to the broker, and goes on as far as possible. It changes nothing, here or there. It
 * sends nothing secret to a broker whose identity is not known.
 * @throws BrokerError `usage` for wrong options.
 */
export async function examine(options: ExamineOptions): Promise<Report> {
  const { args, subject, urlBroker, accessKey, deadline } = options;
  const began = performance.now();
  const wanted = args.list('interface');
  const present = listInterfaces();
  const chosen = chooseInterfaces(present, wanted, interfaceNames(), args.label('interface'));
  const [container, firewall, host] = await Promise.all([
    examineContainer(present),
    examineFirewall(subject.port, stepLimit(deadline, LOCAL_MS)),
    examineHost(args, stepLimit(deadline, LOCAL_MS)),
  ]);
  const { isInside, ...containerCheck } = container;
  // Another host's broker is well or not whatever this host's own one is.
  const named = args.text('bpbroker');
  const at = named === undefined || urlBroker ? undefined : readAddress(named, DEFAULT_PORT)?.host;
  const isOther = named !== undefined && !(at !== undefined && isThisHost(at, present));
  const checks: Check[] = [
    examineProgram(subject.program),
    ...(urlBroker ? [] : [interfacesCheck(args, examineInterfaces(chosen, wanted, present))]),
    containerCheck,
    examineFirewallHere(firewall.check, named === undefined ? host : noHost, firewall, subject),
    examineProxy(),
    ...(urlBroker ? [] : [keyCheck(subject)]),
    ...(isOther ? withoutProblems(host.checks) : host.checks),
  ];
  let identified: Identified | undefined;
  let isHolder: boolean | undefined;
  let broker: string | undefined;
  if (urlBroker) {
    const found = await examineUrl(urlBroker.url, {
      ca: urlBroker.ca,
      fingerprint: args.text('fingerprint'),
      deadline,
    });
    checks.push({ id: 'discovery', status: 'skip', says: 'a URL is not looked for' }, found.tcp, found.check);
    identified = found;
    broker = urlBroker.url;
  } else {
    const network = await examineNetwork({ ...options, chosen, present, firewall, host, isInside });
    checks.push(...network.checks);
    ({ isHolder } = network);
    if (network.broker) {
      broker = addressText(network.broker);
      identified = await examineIdentity(network.broker, {
        subject,
        fingerprint: args.text('fingerprint'),
        isFoundByName: args.text('bpbroker') === undefined && isHolder === true,
        deadline,
      });
      checks.push(identified.check);
    }
  }
  const connection = identified?.connection;
  if (identified && connection) {
    try {
      const timeoutMs = stepLimit(deadline, CALL_MS);
      const health = await examineHealth(connection, hostOf(connection.address, host, present), timeoutMs);
      checks.push(...health);
      const { isSure } = identified;
      checks.push(
        ...(await examineAccess({
          connection,
          subject,
          accessKey,
          isSure,
          named,
          isHolder,
          isUnready: health.some(({ id, status }) => id === 'health' && status === 'fail'),
          timeoutMs: stepLimit(deadline, CALL_MS),
        })),
      );
    } finally {
      connection.close();
    }
  }
  return conclude([...checks, ...notMade(checks, subject)], { broker, tookMs: performance.now() - began });
}

async function examineNetwork(
  options: ExamineOptions & {
    readonly chosen: readonly NetworkInterface[];
    readonly present: readonly NetworkInterface[];
    readonly firewall: Awaited<ReturnType<typeof examineFirewall>>;
    readonly host: Host;
    readonly isInside: boolean;
  },
): Promise<Network> {
  const { args, subject, deadline, chosen, firewall, host, isInside } = options;
  const questions = await questionsFor(subject.name, subject.key);
  const given = args.text('bpbroker');
  const common = { subject, questions, deadline, firewall, fingerprint: args.text('fingerprint') };
  if (given !== undefined) {
    const address = parseAddress(given, '--bpbroker');
    const isHere = isLoopback(address.host) || options.present.some((one) => hasAddress(one, address.host));
    return examineAddress(address, {
      ...common,
      others: likelyPorts(address, isHere ? host.port : undefined),
      own: isHere && host.isRunning && host.file !== undefined ? { file: host.file } : undefined,
    });
  }
  const targets = args.list('target');
  const interfaces = args.list('interface');
  return searchNetwork({
    ...common,
    targets,
    interfaces,
    async silence({ attempts, rejected }) {
      const candidates = await candidatesOf({
        known: knownPlaces(),
        targets,
        port: subject.port,
        own: host.isRunning === true ? ownAddress(host, subject.port) : undefined,
        allowed: interfaces.length > 0 ? chosen : undefined,
      });
      return {
        tried: await tryCandidates(candidates, { questions, key: subject.key, interfaces: chosen, deadline }),
        host,
        subnets: subnetsOf(chosen),
        isInside,
        isSent: attempts.some(({ sent }) => sent > 0),
        rejected,
      };
    },
  });
}

/**
 * Addresses of brokers that this user has met. An unreadable file is reported by the check of the identity.
 */
function knownPlaces(): string[] {
  try {
    return [...openKnown().list().keys()].filter((key) => !isNameKey(key));
  } catch {
    return [];
  }
}

function hasAddress({ ipv4, ipv6 }: NetworkInterface, host: string): boolean {
  return ipv4.some(({ address }) => address === host) || ipv6.includes(host);
}

/** How many other ports of a host are tried. */
const MAX_PORTS = 8;

/**
 * Other ports where a named host may have its broker: that of this host's own file, those where a broker was
 * met, and the usual one.
 */
function likelyPorts({ host, port }: HostPort, own: number | undefined): number[] {
  const met = knownPlaces()
    .flatMap((text) => readAddress(text, DEFAULT_PORT) ?? [])
    .filter((one) => one.host === host);
  const ports = [own ?? 0, ...met.map((one) => one.port), DEFAULT_PORT];
  return [...new Set(ports)].filter((one) => one !== 0 && one !== port).slice(0, MAX_PORTS);
}

/** A named broker needs no interfaces to search on. */
function interfacesCheck(args: Arguments, check: Check): Check {
  if (args.text('bpbroker') === undefined || check.status !== 'fail') return check;
  const { problem: _searching, ...rest } = check;
  return { ...rest, status: 'warn' };
}

function keyCheck({ key, repeated }: Subject): Check {
  if (key === undefined)
    return {
      id: 'discovery_key',
      status: 'skip',
      says: 'none is set: brokers are asked without a discovery key',
      facts: { is_set: false },
    };
  const from = repeated.discoverKeyFile ?? 'BPBROKER_DISCOVER_KEY';
  return { id: 'discovery_key', status: 'ok', says: `one is set, by ${from}`, facts: { is_set: true } };
}

/**
 * The problem of a broker of this host whose own firewall drops the packets of others. It is none of a broker that
 * only this host is to reach.
 * @param host without a broker where another one is examined.
 */
function examineFirewallHere(
  check: Check,
  { isRunning, port: own, listenIp = '' }: Host,
  firewall: Awaited<ReturnType<typeof examineFirewall>>,
  subject: Subject,
): Check {
  if (isRunning !== true || isLoopback(listenIp)) return check;
  const port = own ?? subject.port;
  for (const protocol of ['udp', 'tcp'] as const) {
    const drop = firewall.drops('input', { protocol, end: 'dport', port });
    if (!drop) continue;
    const upper = protocol.toUpperCase();
    return {
      ...check,
      status: 'fail',
      problem: {
        cause: protocol === 'udp' ? 'udp_blocked' : 'tcp_blocked',
        message: `This host's firewall keeps others from its broker: ${upper} port ${port} is dropped by ${drop.place}.`,
        advice: `Let ${upper} port ${port} in:`,
        where: 'here',
        command: drop.command,
      },
    };
  }
  return check;
}

const noHost: Host = { checks: [] };

/** This host's own broker where it is the one at `address`; else none. */
function hostOf({ host: at, port }: HostPort, host: Host, present: readonly NetworkInterface[]): Host {
  return isThisHost(at, present) && port === ownAddress(host, port).port ? host : noHost;
}

/** Whether an address, or a name, is this host's. Other names are not looked up. */
function isThisHost(at: string, present: readonly NetworkInterface[]): boolean {
  const own = present.flatMap(({ ipv4, ipv6 }) => [...ipv4.map(({ address }) => address), ...ipv6]);
  return isLoopback(at) || ['localhost', hostname()].includes(at) || own.includes(withoutZone(at));
}

function withoutProblems(checks: readonly Check[]): Check[] {
  return checks.map(({ problem, ...rest }) => (problem ? { ...rest, status: 'warn' } : rest));
}

/** Checks that were not made, because something before them failed. */
function notMade(made: readonly Check[], subject: Subject): Check[] {
  const ids: readonly CheckId[] = [
    'discovery_key',
    'tcp',
    'brokers',
    'identity',
    'access_key',
    ...(subject.name === undefined ? [] : (['name'] as const)),
    'health',
    'clock',
  ];
  return ids
    .filter((id) => !made.some((check) => check.id === id))
    .map((id) => ({ id, status: 'skip', says: 'not reached' }));
}
