import type { BrokerClient } from '../../client/client.ts';
import { connect, type ConnectOptions, connectProved } from '../../client/client.ts';
import { deadlineIn, untilReached } from '../../client/connection/retry.ts';
import type { FoundBroker } from '../../client/discovery/responders.ts';
import { formatAddress, type HostPort, isUrl, parseAddress } from '../../protocol/addresses/address.ts';
import type { Json } from '../../protocol/formats/data.ts';
import { parseDuration } from '../../protocol/formats/duration.ts';
import { readAccessKey, readDiscoverKey } from '../options/keys.ts';
import { createNotices, type Notices, silentNotices } from '../terminal/notices.ts';
import type { Arguments } from '../command.ts';
import type { FirstLook } from './first-look.ts';
import type { UrlBroker } from './url-broker.ts';

/** A command's connection to its broker. */
export interface Session {
  readonly client: BrokerClient;
  readonly notices: Notices;
  /** With `notesMaking`: whether the entry was made while its holder was searched for. */
  readonly wasMade: boolean;
  /** Milliseconds left of `--timeout` for a command that waits; `undefined` without a limit. */
  timeLeft(): number | undefined;
  /** The broker's last answer, whole. */
  answer(): Json | undefined;
}

export interface SessionOptions {
  /** The entry that the command is about: the broker that holds it is searched for. */
  readonly name?: string | undefined;
  /** Whether the command waits: for a broker, and for the result. */
  readonly wait?: boolean;
  /** Whether a command that waits may use any broker, because it is about to make the entry. */
  readonly orAny?: boolean;
  /** Whether a lost broker is searched for again, even if the command does not wait for it at first. */
  readonly keeps?: boolean;
  /** Whether the command must know if the entry was made while its holder was searched for; default false. */
  readonly notesMaking?: boolean;
}

/** Time limit of one check of the broker's identity, for a command that waits, in milliseconds. */
const SETTLE_MS = 10_000;

/** Runs `work` with a client of the broker that the command line names, or that is found on the network. */
export async function withSession<T>(
  args: Arguments,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const notices = createNotices(args);
  const timeout = args.text('timeout');
  const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout, '--timeout');
  const deadline = deadlineIn(timeoutMs);
  const timeLeft = (): number | undefined =>
    timeoutMs === undefined ? undefined : Math.ceil(deadline.left());
  const accessKey = readAccessKey(args);
  const discoverKey = readDiscoverKey(args);
  const byUrl = await readUrlBroker(args, discoverKey);
  let answer: Json | undefined;
  let talkingTo = '';
  const talkTo = (place: string): void => {
    if (place !== talkingTo) notices.detail(`Talking to the broker at ${place}`);
    talkingTo = place;
  };
  const connection = {
    accessKey,
    notify: (line: string) => notices.note(line),
    onAnswer: (last: Json) => {
      answer = last;
    },
    ...(timeoutMs === undefined || options.wait ? {} : { timeoutMs }),
    foundBy: args.text('bpbroker') === undefined ? options.name : undefined,
    findAgain: options.wait || options.keeps ? await searchAgain(args, options.name, discoverKey) : undefined,
  };
  // A command that waits searches anew for each attempt: a broker may have moved before it was reached.
  const look = options.notesMaking ? await firstLook(args) : undefined;
  let isRepeated = false;
  const reach = untilReached(options.wait ? (timeLeft() ?? Infinity) : 0, async () => {
    const within = options.wait ? { settleMs: Math.min(timeLeft() ?? Infinity, SETTLE_MS) } : {};
    const named = { ...connection, ...within, fingerprint: args.text('fingerprint') };
    if (byUrl) {
      talkTo(byUrl.url);
      return connect({ ...named, broker: byUrl.url, ca: byUrl.ca });
    }
    const search = { ...options, key: discoverKey, isRepeated, look };
    isRepeated = true;
    const broker = await locate(args, notices, search, timeLeft());
    talkTo(formatAddress(broker));
    if ('proof' in broker) return connectProved(broker, { ...connection, ...within });
    return connect({ ...named, broker, discoverKey });
  });
  const client = await reach;
  const wasMade = look?.wasMade() ?? false;
  try {
    return await work({ client, notices, wasMade, timeLeft, answer: () => answer });
  } finally {
    client.close();
  }
}

/** The broker that the command line names by a URL. The code for it is loaded only then. */
async function readUrlBroker(
  args: Arguments,
  discoverKey: string | undefined,
): Promise<UrlBroker | undefined> {
  if (!isUrl(args.text('bpbroker') ?? '') && !args.flag('ca')) return undefined;
  const { urlBroker } = await import('./url-broker.ts');
  return urlBroker(args, discoverKey);
}

/** How a command without `--bpbroker` searches for its broker again. */
async function searchAgain(
  args: Arguments,
  name: string | undefined,
  key: string | undefined,
): Promise<ConnectOptions['findAgain'] | undefined> {
  if (args.text('bpbroker') !== undefined) return undefined;
  const { findBrokers } = await import('./locate.ts');
  return async (timeoutMs, signal) => {
    const find = (by?: string): Promise<FoundBroker[]> =>
      findBrokers(args, silentNotices, {
        name: by,
        key,
        wait: false,
        timeoutMs,
        all: true,
        isRepeated: true,
        signal,
      });
    // All brokers are asked, whatever they hold: the identity shows which one it was.
    const holding = name === undefined ? [] : find(name).catch(() => []);
    return { brokers: await find(), holders: await holding };
  };
}

interface Search extends SessionOptions {
  readonly key: string | undefined;
  /** Whether the command has searched before. */
  readonly isRepeated: boolean;
  readonly look: FirstLook | undefined;
}

/** Only a command that searches for its broker can miss what happens before it is found. */
async function firstLook(args: Arguments): Promise<FirstLook | undefined> {
  if (args.text('bpbroker') !== undefined) return undefined;
  const { takeFirstLook } = await import('./first-look.ts');
  return takeFirstLook();
}

async function locate(
  args: Arguments,
  notices: Notices,
  { name, key, wait = false, orAny, isRepeated, look }: Search,
  timeoutMs: number | undefined,
): Promise<HostPort | FoundBroker> {
  const given = args.text('bpbroker');
  if (given !== undefined) return parseAddress(given, args.label('bpbroker'));
  const { locateBroker } = await import('./locate.ts');
  return locateBroker(args, notices, {
    name,
    key,
    wait,
    timeoutMs,
    isRepeated,
    look,
    ...(orAny ? { orAny } : {}),
  });
}
