import { DEFAULT_PORT, formatAddress } from '../../protocol/addresses/address.ts';
import { ANY_BROKER } from '../../protocol/discovery/datagrams.ts';
import { formatDuration } from '../../protocol/formats/duration.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { shellWord } from '../../protocol/formats/shell-word.ts';
import type { Attempt, RespondingBroker } from './search.ts';
import type { FoundBroker } from './responders.ts';

/** The question that was asked. */
interface Asked {
  readonly name: string;
  /** UDP port asked; default 20443. */
  readonly port?: number | undefined;
  /** Names of the only interfaces that may be used; absent or empty: all. */
  readonly interfaces?: readonly string[] | undefined;
  /** Addresses asked besides the local network. */
  readonly targets?: readonly string[] | undefined;
  /** File with the key of the keyed form, if the key came from a file. */
  readonly keyFile?: string | undefined;
  /** In the keyed form: how many replies were not made with the key. */
  readonly rejected?: number | undefined;
  /** Whether there was time to ask everywhere once; default true. */
  readonly wasAsked?: boolean | undefined;
  /**
   * Whether the caller has no option `--bpbroker`, as `discover`: then the message does not advise it;
   * default false.
   */
  readonly isOnlySearch?: boolean | undefined;
}

/** The error when nobody answered: what was tried, and what failed. */
export function noneAnswered(
  { name, port = DEFAULT_PORT, interfaces = [], rejected, wasAsked = true, isOnlySearch = false }: Asked,
  elapsedMs: number,
  attempts: readonly Attempt[],
): BrokerError {
  const what = name === ANY_BROKER ? 'No broker' : `No broker holding '${name}'`;
  const problems = attempts.filter(({ error }) => error !== undefined).map(describe);
  if (attempts.length === 0 && !wasAsked) {
    return new BrokerError(
      'unreachable',
      `${what} was asked: the time was over after ${formatDuration(elapsedMs)}, before a query had left`,
    );
  }
  if (attempts.length === 0) {
    const only = interfaces.length > 0 ? `; only ${interfaces.join(', ')} may be used` : '';
    return new BrokerError(
      'unreachable',
      `${what} was asked: no interface is up that could be asked on${only}`,
    );
  }
  if (attempts.every(({ sent }) => sent === 0)) {
    return new BrokerError(
      'unreachable',
      `${what} could be asked: every query failed (${problems.join('; ')})`,
    );
  }
  const failed = problems.length > 0 ? `; failed: ${problems.join('; ')}` : '';
  const isUsual = port === DEFAULT_PORT;
  const question = name === ANY_BROKER ? '' : ', and is the name registered';
  const ways = isOnlySearch ? 'ask it with --target' : 'name it with --bpbroker, or ask it with --target';
  const hint = `Is one running on this network${question}? If so, ${ways}${isUsual ? '' : `, or leave --port out (the usual port is ${DEFAULT_PORT})`}`;
  return new BrokerError(
    'unreachable',
    `${what} answered within ${formatDuration(elapsedMs)} (asked ${places(attempts)}${isUsual ? '' : `, UDP port ${port}`}${failed}). ${hint}${ofKey(rejected)}`,
  );
}

/** Other reasons for silence: a key on one side alone, or different keys. */
function ofKey(rejected: number | undefined): string {
  if (rejected === undefined) return '. A broker with a discovery key answers only clients that have it too';
  const silent = '. A broker without this discovery key does not answer';
  if (rejected === 0) return silent;
  const were = rejected === 1 ? 'reply was' : 'replies were';
  return `${silent}; ${rejected} ${were} ignored: not made with this key, or too late`;
}

function describe({ interface: on, to, error }: Attempt): string {
  return `${to}${on === undefined ? '' : ` on ${on}`}: ${error}`;
}

/** `2 interfaces (eth0, lo) and 1 target` */
function places(attempts: readonly Attempt[]): string {
  const interfaces = [...new Set(attempts.flatMap(({ interface: on }) => on ?? []))];
  const targets = attempts.filter(({ interface: on }) => on === undefined).length;
  const parts = [
    interfaces.length > 0 ? `on ${count(interfaces.length, 'interface')} (${interfaces.join(', ')})` : [],
    targets > 0 ? count(targets, 'target') : [],
  ];
  return parts.flat().join(' and ');
}

function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}

/** The error when several brokers answered a search for one. */
export function ambiguous(brokers: readonly FoundBroker[], asked: Asked, isHolder: boolean): BrokerError {
  const { name, isOnlySearch = false } = asked;
  const addresses = brokers.map(({ host, port }) => formatAddress({ host, port })).join(', ');
  const held = name === ANY_BROKER ? '' : `, none of which holds '${name}'`;
  const what = isHolder
    ? `${brokers.length} brokers hold '${name}'`
    : `${brokers.length} brokers answered${held}`;
  const copies = new Set(brokers.map(({ seen }) => seen?.fingerprint ?? '')).size < brokers.length;
  const hint = copies
    ? '. Some have the same identity. They are copies of one broker (an image, or a move whose old broker still runs): stop all but one'
    : '';
  // When none holds the name, the list must show all that answer.
  const by = name === ANY_BROKER || !isHolder ? [] : ['--name', shellWord(name)];
  const advice = ['discover', ...by, '--all', ...sameSearch(asked)].join(' ');
  const choice = isOnlySearch ? 'Register' : 'Choose one with --bpbroker, register';
  return new BrokerError(
    'ambiguous_broker',
    `${what}: ${addresses}${hint}. ${choice} a name that only one of them holds, or list them with: bpbroker ${advice}`,
    { advice },
  );
}

/** The options by which a search was made, as words of a command line. */
function sameSearch({ port = DEFAULT_PORT, interfaces = [], targets = [], keyFile }: Asked): string[] {
  return [
    ...(port === DEFAULT_PORT ? [] : ['--port', String(port)]),
    ...interfaces.flatMap((one) => ['--interface', shellWord(one)]),
    ...targets.flatMap((one) => ['--target', shellWord(one)]),
    ...(keyFile === undefined ? [] : ['--discover-key-file', shellWord(keyFile)]),
  ];
}

/** The error when brokers answered, but none of their addresses can be reached over TCP. */
export function unreachable(
  responders: readonly RespondingBroker[],
  failures: readonly string[],
): BrokerError {
  const addresses = responders.map(({ address, port }) => formatAddress({ host: address, port })).join(', ');
  return new BrokerError(
    'unreachable',
    `Brokers answered from ${addresses} (UDP), but none of them can be reached over TCP: ${failures.join('; ')}`,
  );
}
