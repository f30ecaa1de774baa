import { toJsonSchema } from '@valibot/to-json-schema';
import type * as v from 'valibot';
import { isObject, type Json, type JsonObject } from '../../protocol/formats/data.ts';

/** The part of a parameter's description that its schema does not contain. */
export interface ParameterDoc {
  readonly description: string;
  /**
   * Keywords for the text forms of the parameter, and for its number forms: the schema checks these by
   * functions.
   */
  readonly text?: JsonObject;
  readonly number?: JsonObject;
  /** Replaces the schema, where that accepts any value and the method does not. */
  readonly schema?: JsonObject;
}

/**
 * The JSON Schema (2020-12) of the input of a valibot schema. Transformations are left out, since clients do
 * not see them. Checks by functions are left out too; `docs` puts them back.
 */
export function inputSchema(
  schema: v.GenericSchema,
  docs: Readonly<Record<string, ParameterDoc>> = {},
): JsonObject {
  const { $schema: _dialect, ...converted } = toJsonSchema(schema, {
    target: 'draft-2020-12',
    typeMode: 'input',
    errorMode: 'ignore',
  }) as JsonObject;
  const { properties } = converted;
  if (!isObject(properties)) return converted;
  const noted = Object.entries(properties).map(([name, property]) => [name, annotate(property, docs[name])]);
  return { ...converted, properties: Object.fromEntries(noted) as JsonObject };
}

function annotate(property: Json, note: ParameterDoc | undefined): Json {
  if (note === undefined || !isObject(property)) return property;
  const { description } = note;
  return { ...(note.schema ?? narrow(property, note)), description };
}

function narrow(schema: JsonObject, note: ParameterDoc): JsonObject {
  const { anyOf, type } = schema;
  if (Array.isArray(anyOf)) return { ...schema, anyOf: anyOf.map((one) => narrow(one as JsonObject, note)) };
  if (type === 'string') return { ...schema, ...note.text };
  if (type === 'number') return { ...schema, ...note.number };
  return schema;
}
