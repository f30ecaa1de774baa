import { runtime } from '#runtime';
import { formatAddress, type HostPort } from '../../protocol/addresses/address.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { shellWord } from '../../protocol/formats/shell-word.ts';
import type { Pin } from '../../runtime/runtime.ts';
import type { KnownBrokers } from './known-brokers.ts';
import { nameKey } from './name-key.ts';

/**
 * Trust by name: open discovery finds a broker by an entry's name. The broker must have the identity that was
 * kept for that name at first contact, whatever its address is now.
 */

/** Where identities are kept, and a function for lines that a person should read. */
interface Keeping {
  readonly knownBrokers: KnownBrokers;
  notify(line: string): void;
}

/**
 * The certificate that a broker found by name must present: the one kept for the name and for its address. If
 * one of them has none yet, the identity is kept for it now.
 * @param keepAddress keeps a first contact with an address, and reports it. Returns the identity that is kept
 * for it now.
 * @throws BrokerError `identity_mismatch` when the broker presents another certificate than one of the kept
 * ones; `unreachable`.
 */
export async function resolveNamedPin(
  address: HostPort,
  name: string,
  timeoutMs: number,
  { knownBrokers, notify }: Keeping,
  keepAddress: (presented: Pin, isFirst: boolean) => Pin,
): Promise<Pin> {
  const atAddress = knownBrokers.get(formatAddress(address));
  const ofName = knownBrokers.get(nameKey(name));
  if (atAddress && atAddress.fingerprint === ofName?.fingerprint) return atAddress;
  const presented = await runtime.peerCertificate(address, timeoutMs);
  const check = (kept: Pin | undefined): void => {
    if (kept && kept.fingerprint !== presented.fingerprint)
      throw nameMismatch(address, name, kept.fingerprint, presented.fingerprint);
  };
  // The handshake may have taken long: what was kept meanwhile counts too.
  for (const kept of [ofName, atAddress, knownBrokers.get(nameKey(name))]) check(kept);
  if (!atAddress) check(keepAddress(presented, ofName === undefined));
  if (!ofName) check(keepName(name, presented, { knownBrokers, notify }));
  return presented;
}

function keepName(name: string, presented: Pin, { knownBrokers, notify }: Keeping): Pin {
  const key = nameKey(name);
  try {
    // The certificate itself is kept with the address.
    knownBrokers.add(key, { fingerprint: presented.fingerprint });
  } catch (error) {
    notify(`The identity of the broker of '${name}' could not be kept: ${messageOf(error)}`);
  }
  return knownBrokers.get(key) ?? presented;
}

/** The error when another broker answers for a name, or at an address, than the one met before. */
export function nameMismatch(
  address: HostPort,
  name: string,
  expected: string,
  presented: string,
): BrokerError {
  const place = formatAddress(address);
  const advice = `trust --bpbroker ${place} --name ${shellWord(name)} --fingerprint sha256:${presented}`;
  return new BrokerError(
    'identity_mismatch',
    `The broker at ${place}, which answers for '${name}', has the identity sha256:${presented}, expected sha256:${expected}, which was kept when it was met; nothing was sent to it. If the broker was set up anew, or another one holds '${name}' now, accept it with: bpbroker ${advice}`,
    { advice },
  );
}
