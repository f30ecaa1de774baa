import type * as v from 'valibot';
import { pingParams } from '../../modules/ping.ts';
import type { JsonObject } from '../../protocol/formats/data.ts';
import { MAX_UNSET } from '../../protocol/registry/member-paths.ts';
import { MAX_NAME_BYTES } from '../../protocol/registry/names.ts';
import { MAX_PAGE, params } from '../../protocol/registry/services-params.ts';
import { json, ref } from './responses.ts';
import type { ParameterDoc } from './schemas.ts';

/** A method of a built-in module, as the document describes it. */
export interface Operation {
  readonly module: string;
  readonly method: string;
  readonly summary: string;
  /** The schema of its parameters. */
  readonly params: v.GenericSchema;
  readonly docs: Readonly<Record<string, ParameterDoc>>;
  /** Parameters of a call that succeeds after the examples of the methods before it. */
  readonly example: JsonObject;
  /** The schema of its answer with status 200. */
  readonly answer: JsonObject;
  /** The statuses of its failures, besides those of every call. */
  readonly failing: readonly number[];
}

const whole: JsonObject = { type: 'integer', minimum: 0 };
const duration = { text: { pattern: '^\\d+(\\.\\d+)?(ms|s|m|h|d)?$' }, number: { minimum: 0 } } as const;
const docs: Readonly<Record<string, ParameterDoc>> = {
  name: {
    description: `1 to ${MAX_NAME_BYTES} bytes of UTF-8, no control characters, not beginning with '_'`,
    text: { minLength: 1, maxLength: MAX_NAME_BYTES, pattern: '^[^_]' },
  },
  data: {
    description: 'An object, or a string; a string that is the JSON of an object is stored as that object',
    schema: { anyOf: [{ type: 'object', additionalProperties: true }, { type: 'string' }] },
  },
  unset: {
    description:
      'Members to remove before the data is merged in; dots lead inwards, `\\.` is a dot within a name',
    schema: {
      anyOf: [
        { type: 'string', minLength: 1 },
        { type: 'array', items: { type: 'string', minLength: 1 }, maxItems: MAX_UNSET },
      ],
    },
  },
  ttl: {
    ...duration,
    description: 'Lifetime: seconds, or a duration such as 500ms, 3s or 1m; at least 100ms',
  },
  if_same: { description: 'Whether a repeat with equal data succeeds' },
  if_revision: {
    description: 'Only if the entry is at this revision; 0: only if it does not exist',
    number: whole,
  },
  wait: { ...duration, description: 'How long to wait: seconds, or a duration; cut to 60s' },
  waited: {
    ...duration,
    description: 'With `wait`: how long the client has waited already, in earlier requests',
  },
  ticket: {
    description:
      'With `wait`: the same in each request of one client that waits, which keeps its place by it',
    text: { maxLength: 64 },
  },
  final: { description: 'With `wait`: whether the client does not ask again' },
  lock: {
    description: 'With `lock_revision`: only while the entry of this name is at that revision',
    text: { minLength: 1, maxLength: MAX_NAME_BYTES, pattern: '^[^_]' },
  },
  lock_revision: { description: 'With `lock`: the revision of its entry', number: whole },
  prefix: { description: 'Only names that begin with this', text: { maxLength: MAX_NAME_BYTES } },
  limit: {
    description: `Most entries on a page; default ${MAX_PAGE}`,
    number: { type: 'integer', minimum: 1, maximum: MAX_PAGE },
  },
  wait_count: { description: 'With `wait`: how many entries to wait for', number: whole },
  entries: { description: 'Whether the answer has the entries, and not their count alone; default true' },
};
/** In a list, `after` is a name; in a watch, a revision. */
const listDocs = {
  ...docs,
  after: { description: 'The `next` of the page before', text: { maxLength: MAX_NAME_BYTES } },
};
const deleteDocs = {
  ...docs,
  prefix: {
    description: `Instead of the name: all entries whose names begin with this, ${MAX_PAGE} of them in one request`,
    text: { minLength: 1, maxLength: MAX_NAME_BYTES },
  },
  after: {
    description: 'With the prefix: the `next` of the answer before',
    text: { maxLength: MAX_NAME_BYTES },
  },
};
const watchDocs = { ...docs, after: { description: 'Begin after this revision', number: whole } };

const given = (description: string, schema: string): JsonObject => ({
  description,
  content: json(ref('schemas', schema)),
});
const entry = given('The entry', 'EntryAnswer');
const events: JsonObject = {
  description:
    'Server-Sent Events: `watching`, then `put`, `delete`, `expire` and `reset` with the revision as id',
  content: { 'text/event-stream': { schema: { type: 'string' } } },
};
const ofServices = { module: 'services', docs } as const;
const full = [503, 507];

/** Ordered so that their examples succeed one after another. */
export const operations: readonly Operation[] = [
  {
    module: 'ping',
    method: 'Ping',
    summary: 'Returns its data, with the address of the caller',
    params: pingParams,
    docs: { data: { description: 'Anything; default an empty string' } },
    example: { data: 'hello' },
    answer: given(
      '`src`, the address of the caller, and `data`; a string that is not the JSON of an object as `_str`',
      'PingAnswer',
    ),
    failing: [],
  },
  {
    ...ofServices,
    method: 'Register',
    summary: 'Creates an entry; refused when one of that name exists',
    params: params.Register,
    example: { name: 'web1', data: { port: 8080 }, ttl: '1h', if_same: true },
    answer: entry,
    failing: [409, ...full],
  },
  {
    ...ofServices,
    method: 'Get',
    summary: 'Returns an entry, or waits until it exists',
    params: params.Get,
    example: { name: 'web1', wait: '1s' },
    answer: entry,
    failing: [503],
  },
  {
    ...ofServices,
    method: 'List',
    summary: 'Returns entries in the byte order of their names, or waits until enough exist',
    params: params.List,
    docs: listDocs,
    example: { prefix: 'web', limit: 100, wait_count: 1, wait: '1s' },
    answer: given(
      'A page of `entries`, their `count` on all pages, and `next` where there is one more',
      'ListAnswer',
    ),
    failing: [503],
  },
  {
    ...ofServices,
    method: 'Watch',
    summary: 'Reports each change as it happens',
    params: params.Watch,
    docs: watchDocs,
    example: { prefix: 'web' },
    answer: events,
    failing: [503],
  },
  {
    ...ofServices,
    method: 'Replace',
    summary: 'Stores an entry, whether or not it exists',
    params: params.Replace,
    example: { name: 'web1', data: 'a string' },
    answer: entry,
    failing: [409, ...full],
  },
  {
    ...ofServices,
    method: 'Update',
    summary: 'Merges data into an entry, once members are removed',
    params: params.Update,
    example: { name: 'web1', data: { state: 'up' }, unset: ['tls.key'], ttl: 60 },
    answer: entry,
    failing: [409, ...full],
  },
  {
    ...ofServices,
    method: 'Renew',
    summary: "Starts an entry's lifetime again",
    params: params.Renew,
    example: { name: 'web1' },
    answer: entry,
    failing: [409, 503],
  },
  {
    ...ofServices,
    method: 'Delete',
    summary: 'Deletes an entry, or all under a prefix; succeeds where none exists',
    params: params.Delete,
    docs: deleteDocs,
    example: { name: 'web1' },
    answer: given(
      'Nothing for a name; for a prefix how many are `deleted`, and `next` where there may be more',
      'DeleteAnswer',
    ),
    failing: [409, ...full],
  },
];
