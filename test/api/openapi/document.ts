import assert from 'node:assert/strict';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { Hono } from 'hono';
import * as v from 'valibot';
import { defineMethod, defineModule, type Module } from '../../../src/modules/module.ts';
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

/** The access key of whatever asks for one. */
export const KEY = 'only-for-tests';

/** A module that is not built in, and takes anything. */
export const anything: Module = defineModule({
  AddAgent: defineMethod({
    params: v.looseObject({}),
    run: () => ({ contentType: 'text/plain', body: 'added' }),
  }),
});

interface Media {
  readonly schema?: JsonObject;
  readonly example?: JsonObject;
}
interface DocumentedResponse {
  readonly $ref?: string;
  readonly content?: Readonly<Record<string, Media>>;
}
interface Item {
  readonly operationId: string;
  readonly security: readonly JsonObject[];
  readonly parameters?: readonly { readonly name: string; readonly example: string }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<Record<string, DocumentedResponse>>;
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

function lookUp(document: JsonObject, reference: string): DocumentedResponse {
  const found = reference
    .split('/')
    .slice(1)
    .reduce<unknown>((at, key) => (at as JsonObject)[key], document);
  return found as DocumentedResponse;
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

/** Calls an operation with what the document tells, and a key where it says that one is wanted. */
export async function callOf(
  app: Hono,
  operation: DocumentedOperation,
  body: JsonObject | undefined = operation.body,
): Promise<Response> {
  const { method, url, isGuarded } = operation;
  return await app.request(url, {
    method,
    headers: {
      ...(body ? { 'content-type': 'application/json' } : {}),
      ...(isGuarded ? { authorization: `Bearer ${KEY}` } : {}),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
}

/** Fails unless the answer is one that the document tells of. */
export async function checkAnswer(operation: DocumentedOperation, answer: Response): Promise<void> {
  const { operationId, statuses } = operation;
  const { status } = answer;
  assert.ok(statuses.includes(String(status)), `${operationId} answered ${status}, which is not documented`);
  const type = (answer.headers.get('content-type') ?? '').split(';', 1)[0] ?? '';
  const types = operation.contentTypes(status);
  assert.ok(types.includes(type) || types.includes('*/*'), `${operationId} answered ${type}`);
  const schema = operation.answerSchema(status);
  if (!schema) return;
  const value: unknown = await answer.json();
  assert.ok(
    schema(value),
    `${operationId}: ${JSON.stringify(value)} is not what is documented: ${JSON.stringify(schema.errors)}`,
  );
}
