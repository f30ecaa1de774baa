import * as v from 'valibot';
import type { JsonObject } from '../protocol/formats/data.ts';
import { MAX_TIMER_MS } from '../protocol/formats/duration.ts';
import { BrokerError } from '../protocol/errors.ts';
import { issueText } from '../protocol/formats/issue-text.ts';

/** The limits of an extension, from its object in the configuration (docs/extensions.md, "Limits"). */
export interface Limits {
  /** `_timeout_secs`: the longest time of one call, its whole output included; default 60 s. */
  readonly timeoutMs: number;
  /** `_concurrency`: the most calls at the same time, each in its own process; default 4. */
  readonly concurrency: number;
  /** `_queue`: the most calls that wait beyond those; one more is refused with 429; default 100. */
  readonly queue: number;
  /** `_memory_mb`: the most memory of one call's processes; default 512 MiB. */
  readonly memoryBytes: number;
  /** `_output_mb`: the most output of one call, its answer included; default 64 MiB. */
  readonly outputBytes: number;
}

const MIB = 1024 * 1024;
const count = (least: number): v.GenericSchema<unknown, number> =>
  v.pipe(v.number(), v.integer(), v.minValue(least));
const positive = v.pipe(v.number(), v.gtValue(0));
const seconds = v.pipe(positive, v.maxValue(Math.floor(MAX_TIMER_MS / 1000)));

/** The schema of the options that {@link Limits} is made from; `config/option-docs.ts` describes each. */
export const limitOptions: v.GenericSchema<
  unknown,
  Record<'_timeout_secs' | '_concurrency' | '_queue' | '_memory_mb' | '_output_mb', number>
> = v.object({
  _timeout_secs: v.optional(seconds, 60),
  _concurrency: v.optional(count(1), 4),
  _queue: v.optional(count(0), 100),
  _memory_mb: v.optional(positive, 512),
  _output_mb: v.optional(positive, 64),
});

/** What is wrong with the limits of a module, one line for each wrong limit: `hello._queue: …`. */
export function limitProblems(name: string, config: JsonObject): string[] {
  const { issues = [] } = v.safeParse(limitOptions, config);
  const problems = new Map<string, string>();
  for (const issue of issues) {
    const option = `${name}.${v.getDotPath(issue) ?? ''}`;
    if (!problems.has(option)) problems.set(option, `${option}: ${issueText(issue)}`);
  }
  return [...problems.values()];
}

/** @throws BrokerError `invalid_config` naming the first option that is wrong. */
export function readLimits(name: string, config: JsonObject): Limits {
  const result = v.safeParse(limitOptions, config);
  if (!result.success) throw new BrokerError('invalid_config', limitProblems(name, config)[0] ?? name);
  const options = result.output;
  return {
    timeoutMs: options._timeout_secs * 1000,
    concurrency: options._concurrency,
    queue: options._queue,
    memoryBytes: options._memory_mb * MIB,
    outputBytes: options._output_mb * MIB,
  };
}
