import { runtime } from '#runtime';
import { ambiguous } from '../../client/discovery/finder-errors.ts';
import {
  discover,
  DISCOVER_TIMEOUT_MS,
  type DiscoverOptions,
  type FoundBroker,
} from '../../client/discovery/finder.ts';
import { chooseInterfaces } from '../../client/discovery/routes.ts';
import { areRivals } from '../../client/discovery/responders.ts';
import { DEFAULT_PORT, formatAddress } from '../../protocol/addresses/address.ts';
import { formatDuration } from '../../protocol/formats/duration.ts';
import { parseFingerprint } from '../../protocol/formats/fingerprint.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { interfaceNames, listInterfaces } from '../../runtime/network/interfaces.ts';
import type { Notices } from '../terminal/notices.ts';
import { readCount } from '../options/numbers.ts';
import type { Arguments } from '../command.ts';
import type { FirstLook } from './first-look.ts';

export interface LocateOptions {
  /** The entry whose holder is searched for; without it, any broker. */
  readonly name?: string | undefined;
  /** Search until there is one, or `timeoutMs` has passed; else for at most 3 s. */
  readonly wait: boolean;
  readonly timeoutMs: number | undefined;
  /** Accept several brokers as an answer. */
  readonly all?: boolean;
  /** Accept the only broker that answers when none holds the entry: a command may be about to make it. */
  readonly orAny?: boolean;
  /** The discovery key: only brokers that have it are found. */
  readonly key: string | undefined;
  /** The command has no option `--bpbroker`, so no message advises it; default false. */
  readonly isOnlySearch?: boolean;
  /**
   * The command has searched before, so that `--interface` was right: one that is gone is waited for; default
   * false.
   */
  readonly isRepeated?: boolean;
  /** Notes which brokers answer, and when. */
  readonly look?: FirstLook | undefined;
  /** Ends the search. */
  readonly signal?: AbortSignal;
}

/** The one broker for a command without `--bpbroker` (contract, section 2). */
export async function locateBroker(
  args: Arguments,
  notices: Notices,
  options: LocateOptions,
): Promise<FoundBroker> {
  const fingerprint = args.text('fingerprint');
  // A command that waits for an entry waits for the broker that will hold it, and not at another one.
  const orAny = options.name !== undefined && (options.orAny ?? !options.wait);
  if (fingerprint === undefined) return first(await findBrokers(args, notices, { ...options, orAny }));
  const found = await findBrokers(args, notices, { ...options, orAny, all: true });
  return withIdentity(found, parseFingerprint(fingerprint), {
    name: options.name ?? '',
    port: readCount(args, 'port'),
    ...howAsked(args),
  });
}

/** What an error that advises another search must repeat, besides the port. */
function howAsked(args: Arguments): Pick<DiscoverOptions, 'targets' | 'interfaces' | 'keyFile'> {
  return {
    targets: args.list('target'),
    interfaces: args.list('interface'),
    keyFile: args.text('discover-key-file'),
  };
}

/** The broker that is searched for, in words. */
export function whatIsSought(name: string | undefined): string {
  return name === undefined || name === '' ? 'a broker' : `a broker that holds '${name}'`;
}

/** Brokers on the network, the nearest address of each first. */
export async function findBrokers(
  args: Arguments,
  notices: Notices,
  options: LocateOptions,
): Promise<FoundBroker[]> {
  const {
    name,
    key,
    wait,
    timeoutMs,
    all = false,
    orAny = false,
    isOnlySearch,
    isRepeated,
    look,
    signal,
  } = options;
  const what = whatIsSought(name);
  const interfaces = args.list('interface');
  if (interfaces.length > 0 && !isRepeated)
    chooseInterfaces(listInterfaces(), interfaces, interfaceNames(), args.label('interface'));
  const search = discover({
    name: name ?? '',
    key,
    all,
    orAny,
    isOnlySearch,
    signal,
    timeoutMs: wait ? timeoutMs : (timeoutMs ?? DISCOVER_TIMEOUT_MS),
    port: readCount(args, 'port') ?? DEFAULT_PORT,
    ...howAsked(args),
    // The interfaces have just been checked, with the option's name in the message.
    isRepeated: true,
    onReply({ address, port }, isHolder, round) {
      const place = formatAddress({ host: address, port });
      notices.detail(`Answer from ${place}`);
      if (isHolder) look?.holderAnswered(place, round);
    },
    onAnyBroker:
      look &&
      (({ address, port }, round) => look.brokerAnswered(formatAddress({ host: address, port }), round)),
  });
  try {
    return await notices.during(what, search);
  } catch (error) {
    if (wait && error instanceof BrokerError && error.code === 'unreachable') {
      throw new BrokerError(
        'timeout',
        `Gave up waiting for ${what} after ${formatDuration(timeoutMs ?? 0)}: ${messageOf(error)}`,
        { cause: error },
      );
    }
    throw error;
  }
}

/**
 * Those of them that have an identity. They must be one broker: if copies of it run as well, that is an
 * error.
 */
async function withIdentity(
  found: readonly FoundBroker[],
  fingerprint: string,
  asked: Pick<DiscoverOptions, 'name' | 'port' | 'targets' | 'interfaces' | 'keyFile'>,
): Promise<FoundBroker> {
  const matching: FoundBroker[] = [];
  for (const broker of found) {
    const { seen } = broker;
    const presented = seen?.fingerprint ?? (await runtime.peerCertificate(broker, IDENTIFY_MS)).fingerprint;
    if (presented === fingerprint) matching.push(broker);
  }
  if (areRivals(matching)) throw ambiguous(matching, asked, true);
  const [broker] = matching;
  if (broker) return broker;
  const addresses = found.map((one) => formatAddress(one)).join(', ');
  throw new BrokerError(
    'identity_mismatch',
    `No broker that answered (${addresses}) has the identity sha256:${fingerprint}`,
  );
}

const IDENTIFY_MS = 2000;

function first(found: readonly FoundBroker[]): FoundBroker {
  const [broker] = found;
  if (!broker) throw new BrokerError('unreachable', 'No broker answered');
  return broker;
}
