import type { JsonObject } from '../../protocol/formats/data.ts';
import { envelopeSchema } from '../../protocol/messages/envelope.ts';
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

/** The failures of calls, by status. */
const failures: Readonly<Record<string, string>> = {
  '400': 'A parameter is missing, unknown or malformed',
  '401': 'No access key, or a wrong one',
  '403': 'A private method, or a web page of another origin',
  '404': 'No such entry, method or path',
  '409': 'The name exists, or the entry is at another revision',
  '413': 'Data over 1 MiB, or a body over 1 MiB and 64 KiB',
  '429': 'Wrong keys, event streams or calls of an extension: too many; `Retry-After` says when to try again',
  '500': 'The broker or an extension failed',
  '503': 'Writes cannot be made durable, or the broker is stopping',
  '504': 'An extension took longer than its `_timeout_secs`',
  '507': 'Disk or registry is full; writes succeed again once there is room',
};

export const responses: JsonObject = Object.fromEntries(
  Object.entries(failures).map(([status, description]) => [
    `Failure${status}`,
    { description, content: json(ref('schemas', 'Failure')) },
  ]),
);

/** The responses of an operation: its success, and the statuses of its failures. */
export function responsesOf(given: JsonObject, failing: readonly number[]): JsonObject {
  return {
    '200': given,
    ...Object.fromEntries(failing.map((status) => [status, ref('responses', `Failure${status}`)])),
  };
}
