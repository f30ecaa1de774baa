import * as v from 'valibot';
import { MIN_TTL_MS, parseDuration } from '../formats/duration.ts';
import { messageOf } from '../errors.ts';
import { MAX_UNSET, type MemberPath, parseMember } from './member-paths.ts';
import { byteLength, MAX_NAME_BYTES, nameProblem } from './names.ts';

/** The longest wait of one request, in milliseconds; a client that wants to wait longer asks again. */
export const MAX_WAIT_MS = 60_000;
/** The longest text of a duration, in characters. */
const MAX_DURATION_TEXT = 64;
/** The most entries in one page of a list. */
export const MAX_PAGE = 1000;
/** The most bytes of entries in one page of a list, unless a single entry is longer. */
export const MAX_PAGE_BYTES: number = 8 * 1024 * 1024;

/**
 * A condition: the write succeeds only while entry `lock` is at revision `lock_revision`. Both are given, or
 * neither.
 */
export interface LockParams {
  readonly lock?: string | undefined;
  readonly lock_revision?: number | undefined;
}
/** Parameters that all writes of data share. */
export interface WriteParams extends LockParams {
  readonly name: string;
  readonly data: unknown;
  readonly ttl?: number | undefined;
}
/** Parameters of `Register`. */
export interface RegisterParams extends WriteParams {
  readonly if_same?: boolean | undefined;
  /** The longest wait until no entry has the name, in the order of the requests; default: no wait. */
  readonly wait?: number | undefined;
  /**
   * How long its client has waited already in earlier requests. Its place in the queue is that of the first.
   */
  readonly waited?: number | undefined;
  /** Identifies the requests of one waiting client, which so keeps its place between two of them. */
  readonly ticket?: string | undefined;
  /** Whether it is the client's last request, so that no place is kept for the client. */
  readonly final?: boolean | undefined;
}
/** Parameters of `Replace`. */
export interface ConditionalParams extends WriteParams {
  readonly if_revision?: number | undefined;
}
/** Parameters of `Update`. */
export interface UpdateParams extends Omit<ConditionalParams, 'data'> {
  /** Absent where the request only removes members. */
  readonly data?: unknown;
  /** The members to remove before the data is merged in. */
  readonly unset?: readonly MemberPath[] | undefined;
}
/** Parameters of `Delete`: a name or a prefix. */
export interface DeleteParams extends LockParams {
  readonly name?: string | undefined;
  /** Instead of the name: all entries whose names start with this. */
  readonly prefix?: string | undefined;
  /** With the prefix: only names after this one. */
  readonly after?: string | undefined;
  readonly if_revision?: number | undefined;
}
/** Parameters of `Renew`. */
export interface RenewParams {
  readonly name: string;
  readonly if_revision?: number | undefined;
}
/** Parameters of `Get`. */
export interface GetParams {
  readonly name: string;
  readonly wait?: number | undefined;
}
/** Parameters of `List`. */
export interface ListParams {
  readonly prefix?: string | undefined;
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
  readonly wait?: number | undefined;
  readonly wait_count?: number | undefined;
  /** Whether the answer has the entries besides their count; default true. */
  readonly entries?: boolean | undefined;
}
/** Parameters of `Watch`. */
export interface WatchParams {
  readonly name?: string | undefined;
  readonly prefix?: string | undefined;
  readonly after?: number | undefined;
}

// The original's clients send every parameter as text: numbers, booleans and durations are accepted in that
// form too.
const name = v.pipe(
  v.string('expected a string'),
  v.check(
    (text) => nameProblem(text) === undefined,
    (issue) => nameProblem(issue.input) ?? '',
  ),
);
const wholeNumber = v.pipe(
  v.union([v.number(), v.pipe(v.string(), v.regex(/^\d{1,15}$/))], 'expected a whole number'),
  v.transform(Number),
  v.check((n) => Number.isSafeInteger(n) && n >= 0, 'expected a whole number'),
);
const flag = v.pipe(
  v.union([v.boolean(), v.picklist(['true', 'false', '1', '0', ''])], 'expected true or false'),
  v.transform((value) => value === true || value === 'true' || value === '1'),
);
// A request keeps its parameters for as long as it waits, and a watch for as long as it is open. So none of them,
// except data, may be as long as a body.
const duration = v.pipe(
  v.union([v.number(), v.string()], 'expected seconds, or a duration such as 500ms, 3s or 1m'),
  v.check(
    (value) => typeof value === 'number' || value.length <= MAX_DURATION_TEXT,
    ({ input }) => `expected at most ${MAX_DURATION_TEXT} characters, not ${String(input).length}`,
  ),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return parseDuration(dataset.value, 'duration', 'invalid_request');
    } catch (error) {
      addIssue({ message: messageOf(error) });
      return NEVER;
    }
  }),
);
const ttl = v.pipe(
  duration,
  v.check((ms) => ms >= MIN_TTL_MS, `expected a duration of at least ${MIN_TTL_MS}ms`),
);
// The code that uses a parameter sets its default. A default here would pass through its schema with every
// call.
const wait = v.optional(
  v.pipe(
    duration,
    v.transform((ms) => Math.min(ms, MAX_WAIT_MS)),
  ),
);
// Nothing longer is a beginning of a name, or the name that ends a page.
const partOfName = v.pipe(
  v.string('expected a string'),
  v.check(
    (text) => byteLength(text) <= MAX_NAME_BYTES,
    ({ input }) => `expected at most ${MAX_NAME_BYTES} bytes, as names have, not ${byteLength(input)}`,
  ),
);
const ticket = v.pipe(v.string('expected a string'), v.maxLength(64, 'expected at most 64 characters'));
const lock = { lock: v.optional(name), lock_revision: v.optional(wholeNumber) };
const member = v.pipe(
  v.string('expected a string'),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return parseMember(dataset.value, 'member');
    } catch (error) {
      addIssue({ message: messageOf(error) });
      return NEVER;
    }
  }),
);
const unset = v.pipe(
  v.union(
    [
      v.pipe(
        v.string(),
        v.transform((one) => [one]),
      ),
      v.array(v.string()),
    ],
    'expected the name of a member, or a list of them',
  ),
  v.maxLength(MAX_UNSET, `expected at most ${MAX_UNSET} members`),
  v.array(member),
);

/** The parameters of each method of `services`; durations become milliseconds. */
export const params: {
  readonly Register: v.GenericSchema<unknown, RegisterParams>;
  readonly Replace: v.GenericSchema<unknown, ConditionalParams>;
  readonly Update: v.GenericSchema<unknown, UpdateParams>;
  readonly Delete: v.GenericSchema<unknown, DeleteParams>;
  readonly Renew: v.GenericSchema<unknown, RenewParams>;
  readonly Get: v.GenericSchema<unknown, GetParams>;
  readonly List: v.GenericSchema<unknown, ListParams>;
  readonly Watch: v.GenericSchema<unknown, WatchParams>;
} = {
  Register: v.strictObject({
    name,
    data: v.unknown(),
    ttl: v.optional(ttl),
    if_same: v.optional(flag),
    wait,
    waited: v.optional(duration),
    ticket: v.optional(ticket),
    final: v.optional(flag),
    ...lock,
  }),
  Replace: v.strictObject({
    name,
    data: v.unknown(),
    ttl: v.optional(ttl),
    if_revision: v.optional(wholeNumber),
    ...lock,
  }),
  Update: v.strictObject({
    name,
    data: v.optional(v.unknown()),
    unset: v.optional(unset),
    ttl: v.optional(ttl),
    if_revision: v.optional(wholeNumber),
    ...lock,
  }),
  Delete: v.strictObject({
    name: v.optional(name),
    prefix: v.optional(
      v.pipe(partOfName, v.nonEmpty("expected a prefix that is not empty: '' would be every entry")),
    ),
    after: v.optional(partOfName),
    if_revision: v.optional(wholeNumber),
    ...lock,
  }),
  Renew: v.strictObject({ name, if_revision: v.optional(wholeNumber) }),
  Get: v.strictObject({ name, wait }),
  List: v.strictObject({
    prefix: v.optional(partOfName),
    after: v.optional(partOfName),
    limit: v.optional(
      v.pipe(
        wholeNumber,
        v.minValue(1, 'expected at least 1'),
        v.maxValue(MAX_PAGE, `expected at most ${MAX_PAGE}`),
      ),
    ),
    wait,
    wait_count: v.optional(wholeNumber),
    entries: v.optional(flag),
  }),
  Watch: v.strictObject({
    name: v.optional(name),
    prefix: v.optional(partOfName),
    after: v.optional(wholeNumber),
  }),
};
