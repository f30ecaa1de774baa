import { runtime } from '#runtime';
import { parseFingerprint } from '../../client/identity.ts';
import { type KnownBrokers, knownBrokersFile, openKnownBrokers } from '../../client/known-brokers.ts';
import { canonicalAddress, formatAddress, parseAddress, type HostPort } from '../../protocol/address.ts';
import { parseDuration } from '../../protocol/duration.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Pin } from '../../runtime/runtime.ts';
import type { Run } from '../command.ts';
import { writeData } from '../data-output.ts';
import { createNotes, type Notes } from '../notes.ts';

export const run: Run = async (args) => {
  const known = openKnownBrokers(knownBrokersFile());
  // Named outright: the variable BPBROKER, which scripts export, must not narrow a list.
  const broker = args.flag('bpbroker') ? args.text('bpbroker') : undefined;
  const fingerprint = args.text('fingerprint');
  const address = broker === undefined ? undefined : canonicalAddress(parseAddress(broker, '--bpbroker'));
  if (fingerprint === undefined && !args.flag('forget')) return list(known, address);
  if (!address) throw new BrokerError('usage', 'Say which broker: --bpbroker HOST[:PORT]');
  if (args.flag('forget')) {
    if (fingerprint !== undefined) throw new BrokerError('usage', 'Give --fingerprint or --forget, not both');
    return forget(known, formatAddress(address));
  }
  const timeoutMs = parseDuration(args.text('timeout') ?? '3s', '--timeout');
  const pin = await complete(address, parseFingerprint(fingerprint ?? ''), timeoutMs, createNotes(args));
  known.set(formatAddress(address), pin);
  await print(formatAddress(address), pin);
};

async function list(known: KnownBrokers, only: HostPort | undefined): Promise<void> {
  const place = only && formatAddress(only);
  const pins = [...known.list()].filter(([address]) => place === undefined || address === place);
  for (const [address, pin] of pins) await print(address, pin);
  const [problem] = known.problems();
  // What cannot be read may be what was asked for.
  if (problem !== undefined && (place === undefined || pins.length === 0))
    throw new BrokerError('identity_mismatch', `${problem}. Mend or remove the line`);
  if (place !== undefined && pins.length === 0)
    throw new BrokerError('not_found', `No identity is kept for ${place}`);
}

function forget(known: KnownBrokers, address: string): void {
  if (!known.forget(address)) throw new BrokerError('not_found', `No identity is kept for ${address}`);
}

/** Adds the certificate itself where the broker answers: clients then check it faster. */
async function complete(
  address: HostPort,
  fingerprint: string,
  timeoutMs: number,
  notes: Notes,
): Promise<Pin> {
  try {
    const presented = await runtime.peerCertificate(address, timeoutMs);
    if (presented.fingerprint === fingerprint) return presented;
    notes.note(`Note: ${formatAddress(address)} presents sha256:${presented.fingerprint} now`);
  } catch (error) {
    notes.detail(`Not checked against the broker: ${messageOf(error)}`);
  }
  return { fingerprint };
}

function print(address: string, { fingerprint }: Pin): Promise<void> {
  return writeData(`${address} sha256:${fingerprint}\n`);
}
