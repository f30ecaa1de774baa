import type { Json, JsonObject } from '../../protocol/formats/data.ts';

/** The outcome of one check. `skip`: it was not made, and `says` has the reason. */
export type Status = 'ok' | 'warn' | 'fail' | 'skip';

/** The checks, in the order of the way from this host to the broker's disk. The ids are stable. */
export const checkIds = [
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
] as const;

export type CheckId = (typeof checkIds)[number];

/** One check, as it is reported. */
export interface Check {
  readonly id: CheckId;
  readonly status: Status;
  /** One line for people. */
  readonly says: string;
  /** The findings, for programs. */
  readonly facts?: JsonObject;
  /** The fault and the remedy; only of checks that failed. */
  readonly problem?: Problem;
  /** One sentence: what could not be tried, so that the state is not known. */
  readonly untried?: string;
  /** Advice without a fault; only of checks that did not fail. */
  readonly hint?: Advice;
}

/**
 * The possible faults, each with the exit code that client commands have for it (contract, section 2). The
 * names are stable.
 */
export const causes = {
  disk_full: 1,
  read_only: 1,
  broker_unwell: 1,
  clock_off: 1,
  config_unusable: 1,
  key_attempts_used_up: 1,
  wrong_name: 3,
  key_missing: 5,
  wrong_key: 5,
  discovery_key_missing: 5,
  no_interface: 6,
  no_broker: 6,
  other_subnet: 6,
  broadcast_blocked: 6,
  udp_blocked: 6,
  tcp_blocked: 6,
  several_brokers: 7,
  copied_broker: 7,
  identity_changed: 8,
  identity_unknown: 8,
  discovery_key_refused: 8,
} as const;

export type Cause = keyof typeof causes;

export interface Problem extends Advice {
  readonly cause: Cause;
  /** The fault, in one sentence. */
  readonly message: string;
}

export interface Advice {
  /** The one thing to do, in one sentence or two. */
  readonly advice: string;
  /** Where to do it: on this host, or on the broker's host. */
  readonly where: 'here' | 'broker';
  /** A command line that does it, if there is one. */
  readonly command?: string;
}

/** The text with a full stop at its end. */
export function sentence(text: string): string {
  return text.endsWith('.') ? text : `${text}.`;
}

/** The result of all checks. */
export interface Report {
  /** In the order of {@link checkIds}. */
  readonly checks: readonly Check[];
  /** The first fault on the way; `undefined` when all is well. */
  readonly problem: Problem | undefined;
  /** The problem's advice, or else that of a check without a fault. */
  readonly advice: Advice | undefined;
  readonly exitCode: number;
  /** The broker that was examined, `HOST:PORT` or its URL; `undefined` when there was none. */
  readonly broker: string | undefined;
  readonly tookMs: number;
}

/** The whole report, as `--format json` prints it. */
export function toJson({ checks, problem, advice, exitCode, broker, tookMs }: Report): JsonObject {
  const untried = checks.filter((check) => check.untried !== undefined).map(({ id }) => id);
  return {
    // A check that could not be tried leaves the result unknown.
    ok: problem === undefined && untried.length === 0,
    untried,
    exit_code: exitCode,
    cause: problem?.cause ?? null,
    message: problem?.message ?? null,
    advice: advice ? { text: advice.advice, where: advice.where, command: advice.command ?? null } : null,
    broker: broker ?? null,
    took_ms: Math.round(tookMs),
    checks: checks.map(({ id, status, says, facts, problem: own }): Json => ({
      id,
      status,
      says,
      ...(own ? { cause: own.cause } : {}),
      ...(facts ? { facts } : {}),
    })),
  };
}

/** The checks in their order, and the first problem on the way. */
export function conclude(
  found: readonly Check[],
  { broker, tookMs }: Pick<Report, 'broker' | 'tookMs'>,
): Report {
  const checks = checkIds.flatMap((id) => found.filter((check) => check.id === id));
  const failed = checks.flatMap(({ problem }) => problem ?? []);
  // A broker on this host that cannot start is the reason why none answers.
  const local = failed.find(({ cause }) => localCauses.has(cause));
  const [first] = failed;
  const problem = first?.cause === 'no_broker' ? (local ?? first) : first;
  const advice = problem ?? checks.find(({ hint }) => hint)?.hint;
  return { checks, problem, advice, exitCode: problem ? causes[problem.cause] : 0, broker, tookMs };
}

const localCauses: ReadonlySet<Cause> = new Set(['config_unusable', 'disk_full', 'read_only']);
