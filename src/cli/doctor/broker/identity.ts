import {
  checkPin,
  type BrokerConnection,
  openPinnedConnection,
} from '../../../client/connection/connection.ts';
import { type PinSource, resolvePin } from '../../../client/trust/identity.ts';
import {
  type KnownBrokers,
  knownBrokersFile,
  openKnownBrokers,
} from '../../../client/trust/known-brokers.ts';
import { isNameKey } from '../../../client/trust/name-key.ts';
import { proveBroker, reachBroker } from '../../../client/trust/proof.ts';
import type { Deadline } from '../../../client/connection/retry.ts';
import type { FoundBroker } from '../../../client/discovery/responders.ts';
import type { HostPort } from '../../../protocol/addresses/address.ts';
import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import { parseFingerprint } from '../../../protocol/formats/fingerprint.ts';
import { type Check, type Problem, sentence } from '../report.ts';
import { addressText, type Subject } from '../subject.ts';
import { stepLimit } from '../step-limit.ts';

/** A broker whose identity has been checked. */
export interface Identified {
  readonly check: Check;
  /** The connection to it; `undefined` when nothing may be sent to it. */
  readonly connection?: BrokerConnection;
  /** Whether a secret may be sent: the identity was known before, or was proved. */
  readonly isSure: boolean;
}

const CHECK_MS = 3000;

/** The kept identities, read only: a first contact is reported, and not kept. */
function lookOnly(known: KnownBrokers, onSet: (key: string) => void): KnownBrokers {
  const add = (key: string): boolean => {
    onSet(key);
    return true;
  };
  return { ...known, set: add, add, forget: () => false };
}

export function openKnown(): KnownBrokers {
  return openKnownBrokers(knownBrokersFile());
}

/**
 * Checks the identity of a broker at an address as a client command does. It keeps nothing, and sends nothing
 * to another broker.
 */
export async function examineIdentity(
  broker: HostPort | FoundBroker,
  options: {
    readonly subject: Subject;
    readonly fingerprint: string | undefined;
    /** Whether it was found by the name of the entry. */
    readonly isFoundByName: boolean;
    readonly deadline: Deadline;
  },
): Promise<Identified> {
  const { subject, isFoundByName, deadline } = options;
  const fingerprint = options.fingerprint === undefined ? undefined : parseFingerprint(options.fingerprint);
  const address = { host: broker.host, port: broker.port };
  const ms = stepLimit(deadline, CHECK_MS);
  let isFirst = false;
  try {
    if ('proof' in broker && broker.proof) {
      const proved = await reachBroker(broker, ms);
      if (fingerprint !== undefined && fingerprint !== proved.pin.fingerprint)
        throw new BrokerError('identity_mismatch', 'It is not the one that --fingerprint names');
      return sure(proved.address, proved.pin, 'proved', 'proved with the discovery key');
    }
    if (subject.key !== undefined) {
      const proved = await proveBroker(address, subject.key, fingerprint, ms);
      return sure(proved.address, proved.pin, 'proved', 'proved with the discovery key');
    }
    const knownBrokers = lookOnly(openKnown(), (key) => (isFirst ||= !isNameKey(key)));
    const foundBy = isFoundByName ? subject.name : undefined;
    const pin = await resolvePin(address, ms, {
      fingerprint,
      foundBy,
      knownBrokers,
      notify: () => undefined,
    });
    const source = fingerprint === undefined ? 'kept' : 'named';
    await checkPin(address, { pin, pinSource: source }, stepLimit(deadline, CHECK_MS));
    if (!isFirst)
      return sure(address, pin, source, source === 'named' ? 'as --fingerprint names it' : 'as it was kept');
    const check: Check = {
      id: 'identity',
      status: 'warn',
      says: `never met before; it presents sha256:${pin.fingerprint.slice(0, 16)}…`,
      facts: { fingerprint: `sha256:${pin.fingerprint}`, source: 'first contact' },
      hint: {
        advice:
          'The first command that talks to this broker will keep its identity. Compare it with the ready line of the broker first. Keep it with this command, then run doctor again:',
        where: 'here',
        command: `${subject.program} trust --bpbroker ${addressText(address)} --fingerprint sha256:${pin.fingerprint}`,
      },
    };
    return { check, connection: openPinnedConnection(address, pin, source), isSure: false };
  } catch (error) {
    return { check: refused(address, error, subject), isSure: false };
  }
}

function sure(address: HostPort, pin: { fingerprint: string }, source: PinSource, how: string): Identified {
  const check: Check = {
    id: 'identity',
    status: 'ok',
    says: `${how}: sha256:${pin.fingerprint.slice(0, 16)}…`,
    facts: { fingerprint: `sha256:${pin.fingerprint}`, source },
  };
  return { check, connection: openPinnedConnection(address, pin, source), isSure: true };
}

function refused(address: HostPort, error: unknown, subject: Subject): Check {
  const says = messageOf(error);
  return { id: 'identity', status: 'fail', says, problem: problemOf(address, error, subject) };
}

function problemOf(address: HostPort, error: unknown, subject: Subject): Problem {
  const at = addressText(address);
  const says = messageOf(error);
  if (!(error instanceof BrokerError) || error.code !== 'identity_mismatch')
    return {
      cause: 'no_broker',
      message: sentence(`The broker at ${at} could not be identified: ${says}`),
      advice: 'Run doctor again, with a longer --timeout where the network is slow.',
      where: 'here',
    };
  if (error.advice !== undefined)
    return {
      cause: 'identity_changed',
      message: `The broker at ${at} has another certificate than the one that was kept${subject.name === undefined ? '' : ' for it, or for the name'}; nothing was sent to it.`,
      advice: 'Compare it with the ready line of the broker. Only if it is the same, accept it:',
      where: 'here',
      command: `${subject.program} ${error.advice}`,
    };
  if (subject.key !== undefined)
    return {
      cause: 'discovery_key_refused',
      message: sentence(says),
      advice: "Compare the key's file with discover._access_key in the broker's configuration.",
      where: 'here',
    };
  return {
    cause: 'identity_unknown',
    message: sentence(says),
    advice: 'Name the identity with --fingerprint, as the ready line of the broker shows it.',
    where: 'here',
  };
}

/** Checks whether an authority vouches for a broker behind a URL. */
export async function examineUrl(
  url: string,
  options: {
    readonly ca: readonly string[] | undefined;
    readonly fingerprint: string | undefined;
    readonly deadline: Deadline;
  },
): Promise<Identified & { readonly tcp: Check }> {
  const [{ parseBrokerUrl }, { openUrlConnection }] = await Promise.all([
    import('../../../protocol/addresses/broker-url.ts'),
    import('../../../client/connection/url-connection.ts'),
  ]);
  const parsed = parseBrokerUrl(url, '--bpbroker');
  const fingerprint = options.fingerprint === undefined ? undefined : parseFingerprint(options.fingerprint);
  const connection = await openUrlConnection(parsed, { ca: options.ca, fingerprint });
  try {
    await connection.probe(stepLimit(options.deadline, CHECK_MS));
    const check: Check = { id: 'identity', status: 'ok', says: 'an authority vouches for its certificate' };
    return {
      tcp: { id: 'tcp', status: 'ok', says: `${url} answers` },
      check,
      connection,
      isSure: true,
    };
  } catch (error) {
    connection.close();
    const says = messageOf(error);
    const isIdentity = error instanceof BrokerError && error.code === 'identity_mismatch';
    const problem: Problem = isIdentity
      ? {
          cause: 'identity_unknown',
          message: sentence(says),
          advice: 'Name the authority that has signed for it (--ca FILE), or have its certificate corrected.',
          where: 'here',
        }
      : {
          cause: 'no_broker',
          message: sentence(says),
          advice: 'Check the URL, and whether the proxy there reaches its broker.',
          where: 'broker',
        };
    return {
      tcp: isIdentity
        ? { id: 'tcp', status: 'ok', says: `${url} accepts connections` }
        : { id: 'tcp', status: 'fail', says, problem },
      check: isIdentity
        ? { id: 'identity', status: 'fail', says, problem }
        : { id: 'identity', status: 'skip', says: 'it was not reached' },
      isSure: false,
    };
  }
}
