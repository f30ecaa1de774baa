import { runtime } from '#runtime';
import { type KnownBrokers, knownBrokersFile, openKnownBrokers } from '../../client/trust/known-brokers.ts';
import { isNameKey, nameKey } from '../../client/trust/name-key.ts';
import {
  canonicalAddress,
  formatAddress,
  type HostPort,
  isUrl,
  parseAddress,
} from '../../protocol/addresses/address.ts';
import { parseDuration } from '../../protocol/formats/duration.ts';
import { parseFingerprint } from '../../protocol/formats/fingerprint.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Pin } from '../../runtime/runtime.ts';
import type { Run } from '../command.ts';
import { writeData } from '../output/data-output.ts';
import { createNotices, type Notices } from '../terminal/notices.ts';

export const run: Run = async (args) => {
  const known = openKnownBrokers(knownBrokersFile());
  const broker = args.text('bpbroker');
  if (broker !== undefined && isUrl(broker))
    throw new BrokerError(
      'usage',
      'Invalid --bpbroker: no identity is kept for a URL; an authority signs its certificate (--ca FILE)',
    );
  const name = args.text('name');
  const fingerprint = args.text('fingerprint');
  const address = broker === undefined ? undefined : canonicalAddress(parseAddress(broker, '--bpbroker'));
  const place = address && formatAddress(address);
  const keys = [place, name === undefined ? undefined : nameKey(name)].filter((key) => key !== undefined);
  if (fingerprint === undefined && !args.flag('forget')) return list(known, keys);
  if (keys.length === 0)
    throw new BrokerError('usage', 'Say which broker: --bpbroker HOST[:PORT], --name NAME, or both');
  if (args.flag('forget')) {
    if (fingerprint !== undefined) throw new BrokerError('usage', 'Give --fingerprint or --forget, not both');
    return forget(known, keys, place);
  }
  const wanted = parseFingerprint(fingerprint ?? '');
  const timeoutMs = parseDuration(args.text('timeout') ?? '3s', '--timeout');
  const pin = address
    ? await complete(address, wanted, timeoutMs, createNotices(args))
    : { fingerprint: wanted };
  // The names that found the broker at this address are kept with its new identity too.
  const followers = place === undefined ? [] : namesOf(known, known.list().get(place)?.fingerprint);
  const all = new Set([...keys, ...followers]);
  for (const key of all) known.set(key, key === place ? pin : { fingerprint: wanted });
  // Only now: a reader that closes early ends the command.
  for (const key of all) await print(key, pin);
};

async function list(known: KnownBrokers, only: readonly string[]): Promise<void> {
  const pins = [...known.list()].filter(([key]) => only.length === 0 || only.includes(key));
  for (const [key, pin] of pins) await print(key, pin);
  const [problem] = known.problems();
  // The unreadable line may be the one that was asked for.
  if (problem !== undefined && (only.length === 0 || pins.length === 0))
    throw new BrokerError('identity_mismatch', `${problem}. Correct or remove the line`);
  if (only.length > 0 && pins.length === 0)
    throw new BrokerError('not_found', `No identity is kept for ${only.join(' and ')}`);
}

/** Also forgets the names by which a broker was found that is kept for no other address. */
function forget(known: KnownBrokers, keys: readonly string[], place: string | undefined): void {
  const identity = place === undefined ? undefined : known.list().get(place)?.fingerprint;
  let count = 0;
  for (const key of keys) if (known.forget(key)) count += 1;
  if (count === 0) throw new BrokerError('not_found', `No identity is kept for ${keys.join(' and ')}`);
  const isElsewhere = [...known.list()].some(
    ([key, { fingerprint }]) => fingerprint === identity && !isNameKey(key),
  );
  if (!isElsewhere) for (const key of namesOf(known, identity)) known.forget(key);
}

/** The names for which an identity is kept. */
function namesOf(known: KnownBrokers, identity: string | undefined): string[] {
  return [...known.list()]
    .filter(([key, { fingerprint }]) => isNameKey(key) && fingerprint === identity)
    .map(([key]) => key);
}

/** Adds the certificate itself if the broker answers: clients then check it faster. */
async function complete(
  address: HostPort,
  fingerprint: string,
  timeoutMs: number,
  notices: Notices,
): Promise<Pin> {
  try {
    const presented = await runtime.peerCertificate(address, timeoutMs);
    if (presented.fingerprint === fingerprint) return presented;
    notices.note(`Note: ${formatAddress(address)} presents sha256:${presented.fingerprint} now`);
  } catch (error) {
    notices.detail(`Not checked against the broker: ${messageOf(error)}`);
  }
  return { fingerprint };
}

function print(address: string, { fingerprint }: Pin): Promise<void> {
  return writeData(`${address} sha256:${fingerprint}\n`);
}
