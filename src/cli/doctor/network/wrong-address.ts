import type { Deadline } from '../../../client/connection/retry.ts';
import { DEFAULT_PORT, type HostPort } from '../../../protocol/addresses/address.ts';
import type { Firewall } from '../host/firewall.ts';
import { type TcpOutcome, whoIs } from './tcp.ts';
import type { Problem } from '../report.ts';
import { commandLine, addressText, type Subject } from '../subject.ts';
import { stepLimit } from '../step-limit.ts';

const CONNECT_MS = 2000;

/** A broker that runs on this host. */
export interface OwnBroker {
  readonly file: string;
}

/**
 * Where the host has a broker, at another port than the named one; `undefined` when none of the likely ports
 * has one.
 */
export async function findElsewhere(
  { host }: HostPort,
  tcp: TcpOutcome,
  { others, deadline }: { readonly others: readonly number[]; readonly deadline: Deadline },
): Promise<HostPort | undefined> {
  if (tcp.ok || tcp.kind !== 'refused') return undefined;
  const found = await Promise.all(
    others.map(async (port) => {
      const seen = await whoIs({ host, port }, stepLimit(deadline, CONNECT_MS));
      return 'fingerprint' in seen ? { host, port } : undefined;
    }),
  );
  return found.find((one) => one !== undefined);
}

/** The problem when neither UDP nor TCP gets an answer. */
export function wrongAddress(
  address: HostPort,
  tcp: TcpOutcome,
  {
    subject,
    firewall,
    elsewhere,
    own,
  }: {
    readonly subject: Subject;
    readonly firewall: Firewall;
    readonly elsewhere: HostPort | undefined;
    readonly own: OwnBroker | undefined;
  },
): Problem {
  const { port } = address;
  const { program } = subject;
  const at = addressText(address);
  const reason = tcp.ok ? '' : tcp.reason;
  const drop = firewall.drops('output', { protocol: 'tcp', end: 'dport', port });
  if (drop)
    return {
      cause: 'tcp_blocked',
      message: `No connection to ${at}: this host's own firewall drops it, ${drop.place}.`,
      advice: `Let TCP port ${port} out:`,
      where: 'here',
      command: drop.command,
    };
  const isRefused = !tcp.ok && tcp.kind === 'refused';
  const refused = `The host ${address.host} answers, but no broker listens on its port ${port} (${reason})`;
  if (elsewhere)
    return {
      cause: 'no_broker',
      message: `${refused}; one answers on its port ${elsewhere.port}.`,
      advice: 'Correct the port, if that is the one you mean:',
      where: 'here',
      command: commandLine(subject, 'doctor', { broker: elsewhere }),
    };
  if (isRefused && own)
    return {
      cause: 'no_broker',
      message: `${refused}. A broker runs on this host, with the file ${own.file}, on another port.`,
      advice: 'Give the port that the ready line in its log names.',
      where: 'here',
    };
  return {
    cause: 'no_broker',
    message: isRefused
      ? `${refused}.`
      : `Nothing answers at ${at}, on UDP or TCP (${reason}): the host is off, the address is wrong, or a firewall drops port ${port}.`,
    advice: isRefused
      ? `Correct the port, or start the broker on ${address.host}:`
      : `Check the address, then run doctor on the broker's host: ${program === 'bpclient' ? 'bpbroker' : program} doctor.`,
    where: 'broker',
    ...(isRefused
      ? { command: `bpbroker start${port === DEFAULT_PORT ? '' : ` --listen-port ${port}`}` }
      : {}),
  };
}
