import { isObject } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import { issueText, type SchemaIssue } from '../protocol/formats/issue-text.ts';

/**
 * A schema of any library that keeps Standard Schema, version 1 (https://standardschema.dev), such as
 * valibot, zod or arktype. Its output may have another type than its input.
 */
export interface StandardSchema<TOutput> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<TOutput> | Promise<StandardResult<TOutput>>;
    /** For the compiler only. */
    readonly types?: { readonly input: unknown; readonly output: TOutput } | undefined;
  };
}

/** The result of a schema: the output, or what is wrong with the value. */
export type StandardResult<TOutput> =
  | { readonly value: TOutput; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

/** One mistake that a schema found. */
export interface StandardIssue {
  readonly message: string;
  /** The keys that lead to the wrong value; absent or empty: the parameters as a whole. */
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** Whether a value is a schema. Schemas of arktype are functions. */
export function isSchema(value: unknown): boolean {
  if (!isObject(value) && typeof value !== 'function') return false;
  const { '~standard': standard } = value as Partial<StandardSchema<unknown>>;
  return typeof standard?.validate === 'function';
}

/**
 * The output of a schema for the parameters.
 * @throws BrokerError `invalid_request` for the first mistake in them, naming the parameter.
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
  const { path = [] } = issue;
  const keys = path.map((part) => (typeof part === 'object' ? part.key : part));
  const name = keys.map(String).join('.');
  // valibot says whether a key is unknown or missing, in words for programmers.
  const { type, expected, received } = issue as Partial<SchemaIssue>;
  if (type === 'strict_object') return `${expected === 'never' ? 'Unknown' : 'Missing'} parameter '${name}'`;
  const message =
    typeof type === 'string' && typeof received === 'string'
      ? issueText(issue as SchemaIssue)
      : issue.message;
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
