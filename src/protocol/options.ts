import { isObject, kindOf } from './formats/data.ts';
import { BrokerError, type ErrorCode } from './errors.ts';
import { suggest } from './suggestion.ts';

/** The rule for one option of a function of the library. */
export interface OptionRule {
  /** A right value in words: `a folder, such as './broker-data'`. */
  readonly expected: string;
  /** Whether a value is right; called with any value but `undefined`. */
  readonly accepts: (value: unknown) => boolean;
  /** Whether it must be given; default false: it may be absent or `undefined`. */
  readonly required?: boolean;
  /** Whether messages must not repeat its value; default false. */
  readonly secret?: boolean;
}

/** A rule for every option of a function. An option without one is a compile error. */
export type OptionRules<T> = { readonly [K in keyof T]-?: OptionRule };

export const isText = (value: unknown): boolean => typeof value === 'string';
export const isFunction = (value: unknown): boolean => typeof value === 'function';
/** A number above 0, `Infinity` included. */
export const isPositive = (value: unknown): boolean => typeof value === 'number' && value > 0;
/** A number of milliseconds, which may be 0 or `Infinity`. */
export const isTime = (value: unknown): boolean => typeof value === 'number' && value >= 0;
/** The class is not checked: test environments have another one. */
export const isSignal = (value: unknown): boolean =>
  isObject(value) && typeof value['aborted'] === 'boolean' && isFunction(value['addEventListener']);

/** The rules of what limits a call of a client. */
export const limitRules: OptionRules<{ timeoutMs: unknown; signal: unknown }> = {
  timeoutMs: { expected: 'a number of milliseconds from 0 on', accepts: isTime },
  signal: { expected: 'an AbortSignal', accepts: isSignal },
};

/** An object that has functions under these names, such as a store or a logger. */
export function hasFunctions(...names: readonly string[]): (value: unknown) => boolean {
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    names.every((name) => typeof (value as Record<string, unknown>)[name] === 'function');
}

/**
 * Checks the options of a function that a program without types may have called.
 * @param caller names the function, or the checked part of its options, at the beginning of the message.
 * @throws BrokerError `code` for a missing, wrong or unknown option. It names the option, its value, and a
 * right one.
 */
export function checkOptions<T>(
  caller: string,
  given: unknown,
  rules: OptionRules<T>,
  code: ErrorCode = 'invalid_config',
): void {
  const known = Object.entries<OptionRule>(rules);
  const names = known.map(([name]) => name);
  const fail = (problem: string): never => {
    throw new BrokerError(code, `${caller}: ${problem}`);
  };
  if (!isObject(given)) {
    const required = known.filter(([, rule]) => rule.required).map(([name]) => `'${name}'`);
    const wanted = required.length > 0 ? required.join(' and ') : `any of ${names.join(', ')}`;
    fail(`expected an object with ${wanted}, got ${kindOf(given)}`);
  }
  const options = given as Readonly<Record<string, unknown>>;
  // This comes first: the misspelt name of a required option is both unknown and missing.
  checkNames(caller, options, names, code);
  for (const [name, { accepts, expected, required, secret }] of known) {
    const value = options[name];
    if (value === undefined && required) fail(`the option '${name}' is missing; expected ${expected}`);
    if (value === undefined || accepts(value)) continue;
    fail(`the option '${name}' is ${secret ? kindOf(value) : shown(value)}; expected ${expected}`);
  }
}

/**
 * Checks only the names of options, for callers that notice wrong values soon enough.
 * @throws BrokerError `code` for an unknown option, naming it and the nearest known one.
 */
export function checkNames(
  caller: string,
  options: object,
  names: readonly string[],
  code: ErrorCode = 'usage',
): void {
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const near = suggest(name, names);
    const instead = near === undefined ? `there are ${names.join(', ')}` : `did you mean '${near}'?`;
    throw new BrokerError(code, `${caller}: the option '${name}' is unknown; ${instead}`);
  }
}

/**
 * Checks the options of a client's method: their names, and the kinds of those that limit it. A wrong time limit
 * would otherwise be none. The broker notices every other wrong value.
 * @throws BrokerError `usage`, as {@link checkOptions}.
 */
export function checkMethod(caller: string, options: object, names: readonly string[]): void {
  checkNames(caller, options, names);
  const { timeoutMs, signal } = options as Readonly<Record<string, unknown>>;
  checkOptions(caller, { timeoutMs, signal }, limitRules, 'usage');
}

/** The form of a value in a message: a short value itself, the kind of any other. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return kindOf(value);
}
