import assert from 'node:assert/strict';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { Hono } from 'hono';
import { isObject, type Json, type JsonObject } from '../../../src/protocol/formats/data.ts';

/** An operation of a document, as a client that knows nothing else sees it. */
export interface DocumentedOperation {
  readonly path: string;
  readonly method: string;
  readonly operationId: string;
  /** Whether it wants a key. */
  readonly isGuarded: boolean;
  /** A request as its examples have it. */
  readonly url: string;
  readonly body: JsonObject | undefined;
  /** Statuses that are documented. */
  readonly statuses: readonly string[];
  /** What is sent in a body, and what comes back with a status: nothing if it is not JSON. */
  readonly bodySchema: ValidateFunction | undefined;
  answerSchema(status: number): ValidateFunction | undefined;
  contentTypes(status: number): readonly string[];
}

interface Media {
  readonly schema?: JsonObject;
  readonly example?: JsonObject;
}
interface Response {
  readonly $ref?: string;
  readonly content?: Readonly<Record<string, Media>>;
}
interface Item {
  readonly operationId: string;
  readonly security: readonly JsonObject[];
  readonly parameters?: readonly { readonly name: string; readonly example: string }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, Response>>;
}

export async function fetchDocument(app: Hono): Promise<JsonObject> {
  const answer = await app.request('/openapi.json');
  assert.equal(answer.status, 200);
  assert.equal(answer.headers.get('content-type'), 'application/json');
  return (await answer.json()) as JsonObject;
}

/** The operations of a document in its order. */
export function operationsOf(document: JsonObject): DocumentedOperation[] {
  const paths = document['paths'] as unknown as Record<string, Record<string, Item>>;
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => read(document, path, method, operation)),
  );
}

function read(document: JsonObject, path: string, method: string, operation: Item): DocumentedOperation {
  const { operationId, security, parameters = [], requestBody, responses } = operation;
  const media = requestBody?.content['application/json'];
  const contentOf = (status: number): Readonly<Record<string, Media>> => {
    const response = responses[String(status)];
    return (response?.$ref === undefined ? response : lookUp(document, response.$ref))?.content ?? {};
  };
  return {
    path,
    method: method.toUpperCase(),
    operationId,
    isGuarded: security.some((way) => Object.keys(way).length > 0),
    url: path.replaceAll(
      /\{(\w+)\}/g,
      (_, name) => parameters.find((one) => one.name === name)?.example ?? '',
    ),
    body: media?.example,
    statuses: Object.keys(responses),
    bodySchema: media?.schema && compile(document, media.schema),
    answerSchema(status) {
      const schema = contentOf(status)['application/json']?.schema;
      return schema && compile(document, schema);
    },
    contentTypes: (status) => Object.keys(contentOf(status)),
  };
}

function lookUp(document: JsonObject, reference: string): Response {
  const found = reference
    .split('/')
    .slice(1)
    .reduce<unknown>((at, key) => (at as JsonObject)[key], document);
  return found as Response;
}

function compile(document: JsonObject, schema: JsonObject): ValidateFunction {
  // What it refers to is under `components` of the document, whose own keywords are none of JSON Schema's.
  return new Ajv2020({ strict: false, validateFormats: false }).compile(
    closed({ ...schema, components: document['components'] ?? {} }) as JsonObject,
  );
}

/** With nothing in an object that the document does not name: a document lets what is new in, and a test must not. */
function closed(schema: Json): Json {
  if (Array.isArray(schema)) return schema.map(closed);
  if (!isObject(schema)) return schema;
  const inner = Object.entries(schema).map(([key, value]) => [key, closed(value)]);
  const own = schema['properties'] === undefined ? {} : { additionalProperties: false };
  return { ...own, ...(Object.fromEntries(inner) as JsonObject) };
}
