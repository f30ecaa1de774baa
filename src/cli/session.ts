import { readFileSync } from 'node:fs';
import type { BrokerClient } from '../client/client.ts';
import { connect } from '../client/client.ts';
import { deadlineIn } from '../client/retry.ts';
import { formatAddress, type HostPort, parseAddress } from '../protocol/address.ts';
import type { JsonObject } from '../protocol/data.ts';
import { parseDuration } from '../protocol/duration.ts';
import { BrokerError, messageOf } from '../protocol/errors.ts';
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
  const broker = await locate(args, notes, options, timeoutMs);
  notes.detail(`Talking to the broker at ${formatAddress(broker)}`);
  let answer: JsonObject | undefined;
  const client = await connect({
    broker,
    accessKey,
    fingerprint: args.text('fingerprint'),
    notify: (line) => notes.note(line),
    onAnswer: (last) => {
      answer = last;
    },
    ...(options.wait ? { retryForMs: timeLeft() ?? Infinity } : {}),
    ...(timeoutMs === undefined || options.wait ? {} : { timeoutMs }),
  });
  try {
    return await work({ client, notes, timeLeft, answer: () => answer });
  } finally {
    client.close();
  }
}

async function locate(
  args: Arguments,
  notes: Notes,
  { name, wait = false }: SessionOptions,
  timeoutMs: number | undefined,
): Promise<HostPort> {
  const given = args.text('bpbroker');
  if (given !== undefined) return parseAddress(given, '--bpbroker');
  const { locateBroker } = await import('./locate.ts');
  return locateBroker(args, notes, { name, wait, timeoutMs });
}

function readAccessKey(args: Arguments): string | undefined {
  const file = args.text('access-key-file');
  if (file === undefined) return args.text('access-key');
  if (args.flag('access-key'))
    throw new BrokerError('usage', 'Give --access-key or --access-key-file, not both');
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new BrokerError('usage', `Cannot read --access-key-file ${file}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
