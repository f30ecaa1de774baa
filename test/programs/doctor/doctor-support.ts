import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { createNetwork, type Network } from '../../support/network/netns.ts';
import {
  cleanEnv,
  type Launcher,
  parseReady,
  run,
  type RunningBroker,
  type RunResult,
} from '../../support/programs/programs.ts';
import { tempDir } from '../../support/temp.ts';
import { waitFor } from '../../support/wait.ts';
import { follow, reference, type Running } from '../support.ts';

/** One check, as `doctor --format json` prints it. */
export interface PrintedCheck {
  readonly id: string;
  readonly status: 'ok' | 'warn' | 'fail' | 'skip';
  readonly says: string;
  readonly cause?: string;
  readonly facts?: Readonly<Record<string, unknown>>;
}

/** What `doctor --format json` prints. */
export interface Printed {
  readonly ok: boolean;
  readonly untried: readonly string[];
  readonly exit_code: number;
  readonly cause: string | null;
  readonly message: string | null;
  readonly advice: { readonly text: string; readonly where: string; readonly command: string | null } | null;
  readonly broker: string | null;
  readonly took_ms: number;
  readonly checks: readonly PrintedCheck[];
}

/** Every id, in the order in which checks are printed. */
export const ids: readonly string[] = [
  'program',
  'interfaces',
  'container',
  'firewall',
  'proxy',
  'discovery_key',
  'discovery',
  'tcp',
  'brokers',
  'identity',
  'access_key',
  'name',
  'health',
  'clock',
  'host_config',
  'host_running',
  'host_disk',
];

/** What doctor says, once it has been made sure that all forms of it say the same. */
export interface Verdict {
  readonly json: Printed;
  readonly text: string;
  check(id: string): PrintedCheck;
}

/** Runs a command line in some place. */
export type Type = (command: readonly string[]) => Promise<RunResult>;

/** What doctor must find; no cause: all must be well. */
interface Expected {
  readonly cause: string | null;
  readonly code: number;
}

/**
 * Runs doctor twice, for people and for programs. Both are run again while the verdict is another one: doctor
 * gives the network and nft about a second, in which a busy machine may stop them.
 */
export async function diagnose(
  type: Type,
  program: readonly string[],
  args: readonly string[],
  expected: Expected,
): Promise<Verdict> {
  const twice = (): Promise<[RunResult, RunResult]> =>
    Promise.all([
      type([...program, 'doctor', ...args, '--format', 'json']),
      type([...program, 'doctor', ...args]),
    ]);
  let last: [RunResult, RunResult] | undefined;
  await waitFor('the verdict', async () => verdictOf(...(last = await twice()), expected)).catch((error) => {
    if (last === undefined) throw error;
  });
  assert.ok(last);
  return verdictOf(...last, expected);
}

/** Makes sure that both forms say the same, and what is expected. */
function verdictOf(programs: RunResult, people: RunResult, { cause, code }: Expected): Verdict {
  const told = `${people.stdout}${people.stderr}${programs.stderr}`;
  assert.match(programs.stdout, /^\{.*\}\n$/, told);
  const json = JSON.parse(programs.stdout) as Printed;
  assert.deepEqual([json.cause, programs.code, people.code], [cause, code, code], told);
  assert.deepEqual([json.exit_code, json.ok], [code, cause === null && json.untried.length === 0], told);
  assert.deepEqual(
    json.checks.map(({ id }) => id).filter((id) => !ids.includes(id)),
    [],
    'ids are stable',
  );
  const order = json.checks.map(({ id }) => ids.indexOf(id));
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  );
  if (json.message !== null) assert.ok(people.stdout.includes(`\nWhat is wrong: ${json.message}\n`), told);
  if (json.advice) {
    const { text, where, command } = json.advice;
    const head = where === 'broker' ? "Do this, on the broker's host:" : 'Do this:';
    const last = `\n${head} ${text}\n${command === null ? '' : `  ${command}\n`}`;
    assert.ok(people.stdout.endsWith(last), told);
  } else assert.equal(cause, null);
  return {
    json,
    text: people.stdout,
    check(id) {
      const found = json.checks.find((check) => check.id === id);
      assert.ok(found, `${id}: ${programs.stdout}`);
      return found;
    },
  };
}

/** The command line that was advised, as the words of a program that can be run: it must begin with one of ours, or be `other`'s. */
export function advised({ json, text }: Verdict, { bpbroker, bpclient }: Launcher = reference): string[] {
  const command = json.advice?.command;
  assert.ok(command, text);
  const [first = ''] = command.split(' ', 1);
  const rest = command.slice(first.length + 1);
  const ours: Readonly<Record<string, readonly string[]>> = { bpbroker, bpclient };
  // As a shell reads it.
  return ['sh', '-c', `"$@" ${rest}`, 'sh', ...(ours[first] ?? [first])];
}

/** Hosts that have our programs and nothing else: each its own home, the default ports. */
export interface Hosts {
  readonly net: Network;
  /** Types a command line on a host. */
  on(host: string): Type;
  /** Starts a broker on a host and waits until it is ready. */
  broker(host: string, ...args: string[]): Promise<Running>;
  /** Starts any command there, and waits for the ready line of a broker. */
  starts(host: string, command: readonly string[]): Promise<Running>;
  /** A client command that must succeed: what it prints. */
  prints(host: string, ...args: string[]): Promise<string>;
  /** `bpclient doctor ARGS` on a host. */
  doctor(host: string, args: readonly string[], cause: string | null, code: number): Promise<Verdict>;
  /** Types the command that was advised on a host; it must succeed. */
  does(host: string, verdict: Verdict): Promise<string>;
  /** Adds rules to a host's firewall. */
  firewall(host: string, rules: string): Promise<void>;
}

function must(what: string, { code, stdout, stderr }: RunResult): string {
  assert.equal(code, 0, `${what}: ${stderr}${stdout}`);
  return stdout.trimEnd();
}

export async function hostsOf(options: Parameters<typeof createNetwork>[0]): Promise<Hosts> {
  const net = await createNetwork(options);
  const dir = tempDir();
  const placeOf = (host: string): { cwd: string; env: Record<string, string> } => {
    const cwd = path.join(dir, host);
    mkdirSync(cwd, { recursive: true });
    return { cwd, env: cleanEnv(cwd, { BPBROKER_INTERFACES: '' }) };
  };
  const on: Hosts['on'] = (host) => (command) => net.run(host, command, placeOf(host));
  const starts: Hosts['starts'] = async (host, command) => {
    const running = follow(net.spawn(host, command, placeOf(host)));
    await waitFor('the ready line', () => parseReady(running.stderr())).catch((error) => {
      throw new Error(running.stderr(), { cause: error });
    });
    return running;
  };
  return {
    net,
    on,
    starts,
    broker: (host, ...args) => starts(host, [...reference.bpbroker, 'start', ...args]),
    async prints(host, ...args) {
      return must(`${host}: ${args.join(' ')}`, await on(host)([...reference.bpclient, ...args]));
    },
    doctor: (host, args, cause, code) => diagnose(on(host), reference.bpclient, args, { cause, code }),
    async does(host, verdict) {
      return must(`${host}: ${verdict.json.advice?.command}`, await on(host)(advised(verdict)));
    },
    async firewall(host, rules) {
      must(`nft on ${host}`, await on(host)(['nft', rules]));
    },
  };
}

/** A user's home on a host whose network is loopback. */
export interface User {
  readonly home: string;
  readonly knownBrokers: string;
  doctor(args: readonly string[], cause: string | null, code: number): Promise<Verdict>;
  /** Types a command line; it must succeed. Returns what it prints. */
  types(command: readonly string[]): Promise<string>;
}

export function userOf(extra: Readonly<Record<string, string>> = {}): User {
  const home = tempDir();
  const env = cleanEnv(home, extra);
  const type = (command: readonly string[]): ReturnType<typeof run> => run(command, { env, cwd: home });
  return {
    home,
    knownBrokers: path.join(home, 'config', 'bpbroker', 'known_brokers'),
    doctor: (args, cause, code) => diagnose(type, reference.bpclient, args, { cause, code }),
    types: async (command) => must(command.join(' '), await type(command)),
  };
}

/** The option that names a broker. */
export const at = ({ port }: { readonly port: number }): string[] => ['-b', `127.0.0.1:${port}`];

export async function register(
  user: User,
  broker: RunningBroker,
  name: string,
  ...more: string[]
): Promise<void> {
  const words = ['service', 'register', '--name', name, '--data', 'x', ...more];
  await user.types([...reference.bpclient, ...at(broker), ...words]);
}
