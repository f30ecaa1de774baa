import type { BrokerConnection } from '../../../client/connection/connection.ts';
import { createRpc, type Rpc } from '../../../client/connection/rpc.ts';
import { isObject } from '../../../protocol/formats/data.ts';
import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import { suggest } from '../../../protocol/suggestion.ts';
import { shellWord } from '../../../protocol/formats/shell-word.ts';
import { type Check, type Problem, sentence } from '../report.ts';
import { commandLine, type Subject } from '../subject.ts';

export interface AccessOptions {
  readonly connection: BrokerConnection;
  readonly subject: Subject;
  readonly accessKey: string | undefined;
  /** Whether a secret may be sent to this broker. */
  readonly isSure: boolean;
  /** The broker as the command line names it; `undefined` when it was found. */
  readonly named: string | undefined;
  /** Whether it has answered on UDP that it holds the name; `undefined` when it was not asked there. */
  readonly isHolder: boolean | undefined;
  /**
   * Whether it has reported itself that it is not ready. Then this is the fault, and no call can show more.
   */
  readonly isUnready: boolean;
  readonly timeoutMs: number;
}

/** How many names are searched for a similar one. */
const MAX_NAMES = 1000;

/**
 * Whether the registry lets this host in, and whether it has the entry. The key is presented once, and only
 * when it is asked for.
 */
export async function examineAccess(options: AccessOptions): Promise<Check[]> {
  const { connection, subject, accessKey, isSure, timeoutMs } = options;
  const open = createRpc({ connection, timeoutMs });
  const withKey = createRpc({ connection, accessKey, timeoutMs });
  const given = accessKey === undefined ? 'none is set' : 'one is set';
  let rpc: Rpc | undefined;
  let key: Check;
  try {
    await count(open);
    rpc = open;
    key = { id: 'access_key', status: 'ok', says: `the registry asks for none; ${given}` };
  } catch (error) {
    if (!isDenied(error)) key = failed(error, options);
    else if (accessKey === undefined) key = missing(connection);
    else if (!isSure)
      key = {
        id: 'access_key',
        status: 'warn',
        says: 'one is asked for and set, but was not tried: it is not sent to a broker that was never met before',
        untried: `It was not tried whether the broker at ${connection.place} accepts the access key: the key is sent only to a broker whose identity is kept or named.`,
      };
    else {
      key = await present(withKey, options);
      if (key.status === 'ok') rpc = withKey;
    }
  }
  const facts = { is_set: accessKey !== undefined };
  const checks: Check[] = [{ ...key, facts }];
  if (subject.name !== undefined) checks.push(await examineName(options, subject.name, rpc));
  return checks;
}

/** The result of a check that was not made because the broker is not ready. */
const UNUSABLE = 'not known while the broker is not ready';

function count(rpc: Rpc): Promise<unknown> {
  return rpc.call('services', 'List', { entries: false });
}

function isDenied(error: unknown): boolean {
  return error instanceof BrokerError && error.code === 'access_denied';
}

async function present(rpc: Rpc, options: AccessOptions): Promise<Check> {
  try {
    await count(rpc);
    return { id: 'access_key', status: 'ok', says: 'one is set, and the registry accepts it' };
  } catch (error) {
    return isDenied(error) ? wrong(options.connection) : failed(error, options);
  }
}

function wrong(connection: BrokerConnection): Check {
  return {
    id: 'access_key',
    status: 'fail',
    says: 'one is set, but the registry does not accept it',
    problem: {
      cause: 'wrong_key',
      message: `The broker at ${connection.place} does not accept the access key for its registry (module services).`,
      advice:
        "Give the key that services._access_key has in the broker's configuration, by --access-key-file FILE or the variable BPBROKER_ACCESS_KEY.",
      where: 'here',
    },
  };
}

function missing(connection: BrokerConnection): Check {
  return {
    id: 'access_key',
    status: 'fail',
    says: 'the registry asks for one, and none is set',
    problem: {
      cause: 'key_missing',
      message: `The broker at ${connection.place} asks for an access key for its registry (module services), and none was given.`,
      advice: 'Give it, by --access-key-file FILE or the variable BPBROKER_ACCESS_KEY.',
      where: 'here',
    },
  };
}

function failed(error: unknown, { connection: { place: at }, isUnready }: AccessOptions): Check {
  const says = messageOf(error);
  const code = error instanceof BrokerError ? error.code : undefined;
  if (isUnready && code === 'unavailable')
    return { id: 'access_key', status: 'skip', says: `${UNUSABLE}: ${says}` };
  if (code === 'module_not_found') return { id: 'access_key', status: 'skip', says };
  const isBlocked = code === 'too_many_requests';
  const problem: Problem = isBlocked
    ? {
        cause: 'key_attempts_used_up',
        message: sentence(`The broker at ${at} accepts no key from this host for a while: ${says}`),
        advice: 'Wait a minute, correct the key that is used here, then run doctor again.',
        where: 'here',
      }
    : {
        cause: 'broker_unwell',
        message: sentence(`The broker at ${at} did not answer a call to its registry: ${says}`),
        advice: 'Look at its log.',
        where: 'broker',
      };
  return { id: 'access_key', status: 'fail', says, problem };
}

/** @param rpc calls to the registry; `undefined` when it does not let this host in. */
async function examineName(options: AccessOptions, name: string, rpc: Rpc | undefined): Promise<Check> {
  const { isHolder, isUnready, connection } = options;
  if (isHolder === true) return { id: 'name', status: 'ok', says: `'${messageOf(name)}' exists` };
  if (!rpc) {
    // The broker's answers to discovery come from the same registry.
    if (isUnready) return { id: 'name', status: 'skip', says: UNUSABLE };
    if (isHolder === undefined)
      return { id: 'name', status: 'skip', says: 'the registry does not let this host in' };
    return absent(options, name, undefined);
  }
  try {
    await rpc.call('services', 'Get', { name });
    // Discovery by this name failed, perhaps because of spaces around it.
    if (isHolder === undefined) return { id: 'name', status: 'ok', says: `'${messageOf(name)}' exists` };
    return {
      id: 'name',
      status: 'warn',
      says: `'${messageOf(name)}' exists now, and did not a moment ago`,
    };
  } catch (error) {
    if (!(error instanceof BrokerError) || error.code !== 'not_found')
      return { id: 'name', status: 'fail', says: messageOf(error), ...unreadable(error, connection) };
    return absent(options, name, await nearestTo(name, rpc));
  }
}

function unreadable(error: unknown, { place: at }: BrokerConnection): { problem: Problem } {
  return {
    problem: {
      cause: 'broker_unwell',
      message: sentence(`The broker at ${at} did not return the entry: ${messageOf(error)}`),
      advice: 'Look at its log.',
      where: 'broker',
    },
  };
}

function absent(
  { subject, connection, named }: AccessOptions,
  name: string,
  near: string | undefined,
): Check {
  const broker = named === undefined ? {} : { broker: named };
  const problem: Problem = {
    cause: 'wrong_name',
    message: `The broker at ${connection.place} has no entry '${messageOf(name)}'${near === undefined ? '' : `; it has '${near}'`}.`,
    advice:
      near === undefined ? 'Correct the name, or register it. The names that exist:' : 'Correct the name:',
    where: 'here',
    command:
      near === undefined
        ? commandLine(subject, 'service list', broker)
        : commandLine({ ...subject, name: near }, 'service get', broker),
  };
  const says = `no entry '${messageOf(name)}'${near === undefined ? '' : `; did you mean '${near}'?`}`;
  return { id: 'name', status: 'fail', says, facts: { nearest: near ?? null }, problem };
}

/** The name of a similar entry. It is only a hint: without it, the user can list the names. */
async function nearestTo(name: string, rpc: Rpc): Promise<string | undefined> {
  try {
    const answer = await rpc.call('services', 'List', { limit: MAX_NAMES });
    const data = isObject(answer) ? answer['data'] : undefined;
    const entries = isObject(data) && Array.isArray(data['entries']) ? data['entries'] : [];
    const names = (entries as readonly unknown[]).flatMap((entry) =>
      isObject(entry) && typeof entry['name'] === 'string' ? entry['name'] : [],
    );
    const near = suggest(name, names);
    return near !== undefined && shellWord(near) === near ? near : undefined;
  } catch {
    return undefined;
  }
}
