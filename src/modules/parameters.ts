import { isObject } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';

/**
 * A schema of any library that keeps Standard Schema, version 1 (https://standardschema.dev), such as valibot, zod or arktype.
 * What it gives out may differ in type from what it takes.
 */
export interface StandardSchema<TOutput> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<TOutput> | Promise<StandardResult<TOutput>>;
    /** For the compiler alone. */
    readonly types?: { readonly input: unknown; readonly output: TOutput } | undefined;
  };
}

/** What a schema says of a value: what it made of it, or what is wrong with it. */
export type StandardResult<TOutput> =
  | { readonly value: TOutput; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

export interface StandardIssue {
  readonly message: string;
  /** The keys that lead to the value that is wrong; absent or empty: the parameters as a whole. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Whether a value is a schema. Those of arktype are functions. */
export function isSchema(value: unknown): boolean {
  if (!isObject(value) && typeof value !== 'function') return false;
  const { '~standard': standard } = value as Partial<StandardSchema<unknown>>;
  return typeof standard?.validate === 'function';
}

/**
 * What a schema made of the parameters.
 * @throws BrokerError `invalid_request` for the first thing that is wrong with them, naming the parameter.
 */
export function accepted<T>(result: StandardResult<T>, params: unknown): T {
  if (!result.issues) return result.value;
  const [issue] = result.issues;
  throw new BrokerError(
    'invalid_request',
    issue ? problemOf(issue, params) : 'Invalid parameters: their schema does not say why',
  );
}

function problemOf(issue: StandardIssue, params: unknown): string {
  const { message, path = [] } = issue;
  const keys = path.map((part) => (typeof part === 'object' ? part.key : part));
  const name = keys.map(String).join('.');
  // valibot says which of the two it is, in words that are for programmers.
  const { type, expected } = issue as { readonly type?: unknown; readonly expected?: unknown };
  if (type === 'strict_object') return `${expected === 'never' ? 'Unknown' : 'Missing'} parameter '${name}'`;
  if (name === '') return `Invalid parameters: ${message}`;
  return `${isAbsent(params, keys) ? 'Missing' : 'Invalid'} parameter '${name}': ${message}`;
}

function isAbsent(params: unknown, keys: readonly PropertyKey[]): boolean {
  let value = params;
  for (const key of keys) {
    if (typeof value !== 'object' || value === null) return false;
    if (!Object.hasOwn(value, key)) return true;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return false;
}
