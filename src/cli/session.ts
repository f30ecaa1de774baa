import type { BrokerClient } from '../client/client.ts';
import { connect, connectProved } from '../client/client.ts';
import { deadlineIn } from '../client/retry.ts';
import type { FoundBroker } from '../client/sightings.ts';
import { formatAddress, type HostPort, parseAddress } from '../protocol/address.ts';
import type { JsonObject } from '../protocol/data.ts';
import { parseDuration } from '../protocol/duration.ts';
import { readAccessKey, readDiscoverKey } from './keys.ts';
import { createNotes, type Notes } from './notes.ts';
import type { Arguments } from './command.ts';

/** A command's line to its broker. */
export interface Session {
  readonly client: BrokerClient;
  readonly notes: Notes;
  /** Milliseconds left of `--timeout` for a command that waits; nothing without a limit. */
  timeLeft(): number | undefined;
  /** The broker's last answer, whole. */
  answer(): JsonObject | undefined;
}

export interface SessionOptions {
  /** The entry that the command is about: the broker that holds it is the one to find. */
  readonly name?: string | undefined;
  /** Whether the command waits: until a broker is there, and for what it asks of it. */
  readonly wait?: boolean;
}

/** Runs `work` with a client of the broker that the command line names, or that is found on the network. */
export async function withSession<T>(
  args: Arguments,
  options: SessionOptions,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  const notes = createNotes(args);
  const timeout = args.text('timeout');
  const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout, '--timeout');
  const deadline = deadlineIn(timeoutMs);
  const timeLeft = (): number | undefined =>
    timeoutMs === undefined ? undefined : Math.ceil(deadline.left());
  const accessKey = readAccessKey(args);
  const discoverKey = readDiscoverKey(args);
  const broker = await locate(args, notes, { ...options, key: discoverKey }, timeoutMs);
  notes.detail(`Talking to the broker at ${formatAddress(broker)}`);
  let answer: JsonObject | undefined;
  const connection = {
    accessKey,
    notify: (line: string) => notes.note(line),
    onAnswer: (last: JsonObject) => {
      answer = last;
    },
    ...(options.wait ? { retryForMs: timeLeft() ?? Infinity } : {}),
    ...(timeoutMs === undefined || options.wait ? {} : { timeoutMs }),
  };
  const client =
    'proof' in broker
      ? await connectProved(broker, connection)
      : await connect({ ...connection, broker, discoverKey, fingerprint: args.text('fingerprint') });
  try {
    return await work({ client, notes, timeLeft, answer: () => answer });
  } finally {
    client.close();
  }
}

async function locate(
  args: Arguments,
  notes: Notes,
  { name, key, wait = false }: SessionOptions & { readonly key: string | undefined },
  timeoutMs: number | undefined,
): Promise<HostPort | FoundBroker> {
  const given = args.text('bpbroker');
  if (given !== undefined) return parseAddress(given, '--bpbroker');
  const { locateBroker } = await import('./locate.ts');
  return locateBroker(args, notes, { name, key, wait, timeoutMs });
}
