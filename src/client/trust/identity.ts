import { runtime } from '#runtime';
import { formatAddress, type HostPort } from '../../protocol/addresses/address.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Pin } from '../../runtime/runtime.ts';
import type { KnownBrokers } from './known-brokers.ts';
import { resolveNamedPin } from './name-trust.ts';

/** How a client decides which certificate a broker must present (contract, section 6). */
export interface IdentityOptions {
  /**
   * The only certificate to accept: 64 lower-case hex digits. Without it, the one kept from first contact.
   */
  readonly fingerprint?: string | undefined;
  /** The name by which open discovery found the broker, if it did: trust is kept for it too. */
  readonly foundBy?: string | undefined;
  readonly knownBrokers: KnownBrokers;
  /** Called with one line at first contact, and when the user should know of something else. */
  notify(line: string): void;
}

/**
 * The certificate that the broker at `address` must present. At first contact, it is the one that the broker
 * presents.
 * @throws BrokerError `identity_mismatch` when another one was kept meanwhile, or the file cannot be read;
 * `unreachable`.
 */
export async function resolvePin(
  address: HostPort,
  timeoutMs: number,
  options: IdentityOptions,
): Promise<Pin> {
  const { foundBy, fingerprint } = options;
  if (foundBy !== undefined && fingerprint === undefined)
    return resolveNamedPin(address, foundBy, timeoutMs, options, (presented, isFirst) =>
      keep(address, presented, isFirst ? options : { ...options, notify: () => undefined }),
    );
  if (options.fingerprint !== undefined) return namedPin(address, options.fingerprint, options.knownBrokers);
  const known = options.knownBrokers.get(formatAddress(address));
  if (known) return known;
  const presented = await runtime.peerCertificate(address, timeoutMs);
  const { fingerprint: kept } = keep(address, presented, options);
  if (kept !== presented.fingerprint) throw identityMismatch(address, kept, presented.fingerprint, 'kept');
  return presented;
}

/** The kept certificate makes the handshake faster, if it is the named one. It decides nothing. */
function namedPin(address: HostPort, fingerprint: string, knownBrokers: KnownBrokers): Pin {
  try {
    const known = knownBrokers.get(formatAddress(address));
    return known?.fingerprint === fingerprint ? known : { fingerprint };
  } catch (error) {
    // A file that cannot be read does not matter when the user names the identity.
    if (error instanceof BrokerError && error.code === 'identity_mismatch') return { fingerprint };
    throw error;
  }
}

/** Where the expected identity comes from: named by the user, kept from first contact, or proved. */
export type PinSource = 'named' | 'kept' | 'proved';

/** The error for a broker that presents another certificate than the one asked for. */
export function identityMismatch(
  address: HostPort,
  expected: string,
  presented: string,
  source: PinSource,
): BrokerError {
  const place = formatAddress(address);
  const command = `trust --bpbroker ${place} --fingerprint sha256:${presented}`;
  const advice = {
    named: 'Check --fingerprint, or whether another host answers at that address.',
    kept: `If the broker was set up anew, accept it with: bpbroker ${command}`,
    proved:
      'The broker that has the discovery key presents the latter; another host answers at that address.',
  }[source];
  return new BrokerError(
    'identity_mismatch',
    `The broker at ${place} has the identity sha256:${presented}, expected sha256:${expected}; nothing was sent to it. ${advice}`,
    source === 'kept' ? { advice: command } : {},
  );
}

/**
 * Keeps the identity of a first contact, unless one has been kept during the handshake: a slow one must not
 * replace what the user or another program has accepted meanwhile. Returns the one that counts now.
 */
function keep(address: HostPort, presented: Pin, { knownBrokers, notify }: IdentityOptions): Pin {
  const place = formatAddress(address);
  const identity = `sha256:${presented.fingerprint}`;
  try {
    if (knownBrokers.add(place, presented))
      notify(
        `First contact with the broker at ${place}: keeping its identity ${identity} in ${knownBrokers.file}`,
      );
  } catch (error) {
    notify(
      `First contact with the broker at ${place}, identity ${identity}; it could not be kept: ${messageOf(error)}`,
    );
  }
  return knownBrokers.get(place) ?? presented;
}
