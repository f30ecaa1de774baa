import type { JsonObject } from '../../protocol/formats/data.ts';
import { envelopeSchema } from '../../protocol/messages/envelope.ts';
import { errorDocs } from '../../protocol/error-docs.ts';
import { BrokerError, errorCodes } from '../../protocol/errors.ts';
import { inputSchema } from './schemas.ts';

export const ref = (kind: string, name: string): JsonObject => ({ $ref: `#/components/${kind}/${name}` });
export const json = (schema: JsonObject): JsonObject => ({ 'application/json': { schema } });

const envelope = inputSchema(envelopeSchema);
const {
  code,
  message,
  revision,
  ttl: length,
  expires_in: left,
} = envelope['properties'] as Readonly<
  Record<'code' | 'revision' | 'message' | 'ttl' | 'expires_in', JsonObject>
>;
const ttl: JsonObject = { ...length, description: 'Lifetime in seconds; absent without one' };
const object = (
  properties: JsonObject,
  required: readonly string[] = Object.keys(properties),
): JsonObject => ({
  type: 'object',
  properties,
  required,
});
/** A success in the envelope, with further members. */
const success = (data: JsonObject, more: JsonObject = {}): JsonObject => ({
  ...object({ message, revision, success: { type: 'boolean', const: true }, data, ...more }, [
    'success',
    'message',
    'data',
  ]),
  additionalProperties: false,
});
const count: JsonObject = { type: 'integer', minimum: 0 };

/** The schemas that a document defines once and refers to. */
export const schemas: JsonObject = {
  Entry: {
    ...object({
      last_write_ts: { ...count, description: 'Unix time in seconds of the last write' },
      last_write_ip: { type: 'string', description: 'Address of the client that wrote it' },
    }),
    additionalProperties: true,
    description: 'The data of an entry, led by its stamps; a string travels as `_str`',
  },
  EntryAnswer: success(ref('schemas', 'Entry'), {
    ttl,
    expires_in: { ...left, description: 'Seconds until the lifetime ends, unless it is renewed' },
  }),
  DeleteAnswer: success({
    ...object(
      {
        deleted: { ...count, description: 'With a prefix: how many entries this request has deleted' },
        next: { type: 'string', description: 'Give it as `after` for the next request; absent on the last' },
      },
      [],
    ),
    additionalProperties: false,
  }),
  ListAnswer: success({
    ...object(
      {
        entries: {
          type: 'array',
          items: object({ name: { type: 'string' }, revision: count, data: ref('schemas', 'Entry'), ttl }, [
            'name',
            'revision',
            'data',
          ]),
        },
        count: { ...count, description: 'How many there are on all pages' },
        next: { type: 'string', description: 'Give it as `after` for the next page; absent on the last' },
      },
      ['entries', 'count'],
    ),
  }),
  PingAnswer: object({ src: { type: 'string', description: "The caller's address" }, data: {} }, ['src']),
  Failure: {
    ...object({
      success: { type: 'boolean', const: false },
      message: { type: 'string', description: 'For people' },
      code: { ...code, description: 'For programs' },
      data: { type: 'object' },
    }),
    additionalProperties: false,
  },
  Alive: object({ status: { type: 'string', const: 'ok' } }),
  Identity: object(
    {
      id: { type: 'string', description: 'Identifies the registry' },
      instance: { type: 'string', description: 'Identifies the running broker' },
      shared: { type: 'boolean', description: 'Whether other brokers serve the same registry' },
    },
    ['id', 'instance'],
  ),
  Status: object(
    {
      modules: {
        type: 'array',
        description: 'Those that are not built in, and that the key lets call',
        items: object({
          name: { type: 'string' },
          running: { ...count, description: 'How many of its calls are under way' },
          calls: {
            type: 'array',
            description: 'The last ones that have ended, the latest first',
            items: object({
              at: { type: 'string', format: 'date-time', description: 'When it began' },
              method: { type: 'string' },
              source: { type: 'string', description: 'Address of the caller' },
              outcome: { type: 'string', description: '`ok`, the code of an error, `status N` or `gone`' },
              seconds: { type: 'number', minimum: 0 },
            }),
          },
        }),
      },
      hidden: { ...count, description: 'How many more modules there are, which ask for another key' },
      cluster: object(
        {
          brokers: {
            type: 'array',
            description: 'The brokers that serve the registry',
            items: object({
              instance: { type: 'string' },
              url: { type: 'string' },
              host: { type: 'string' },
              version: { type: 'string' },
              since: { type: 'string', format: 'date-time' },
              self: { type: 'boolean', description: 'Whether it is the one that answers' },
            }),
          },
          problem: { type: 'string', description: 'Why they are unknown now; they are those last known' },
        },
        ['brokers'],
      ),
    },
    ['modules', 'hidden'],
  ),
  Readiness: object({
    ready: { type: 'boolean', description: 'Whether every check is ok; warnings do not count' },
    checks: {
      type: 'object',
      additionalProperties: object(
        {
          ok: { type: 'boolean' },
          reason: { type: 'string', description: 'Why it is not ok' },
          warning: { type: 'string', description: 'It is ok, but needs attention' },
          bytes: count,
          max_bytes: count,
          free_bytes: count,
        },
        ['ok'],
      ),
    },
    warnings: {
      type: 'array',
      items: object({
        id: { type: 'string', description: 'The check that found it' },
        message: { type: 'string', description: 'For people' },
        since: { type: 'string', format: 'date-time' },
      }),
    },
  }),
};

/** The failures of calls, by status: each error that brokers answer with it, by its code. */
function failuresByStatus(): Record<number, string[]> {
  const found: Record<number, string[]> = {};
  for (const name of errorCodes) {
    const { meaning, isAnswered = true } = errorDocs[name];
    if (isAnswered) (found[new BrokerError(name, '').status] ??= []).push(`\`${name}\`: ${meaning}`);
  }
  return found;
}

export const responses: JsonObject = Object.fromEntries(
  Object.entries(failuresByStatus()).map(([status, meanings]) => [
    `Failure${status}`,
    { description: meanings.join('\n'), content: json(ref('schemas', 'Failure')) },
  ]),
);

/** The responses of an operation: its success, and the statuses of its failures. */
export function responsesOf(given: JsonObject, failing: readonly number[]): JsonObject {
  return {
    '200': given,
    ...Object.fromEntries(failing.map((status) => [status, ref('responses', `Failure${status}`)])),
  };
}
