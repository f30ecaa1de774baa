import { isObject, type Json, type JsonObject } from '../../src/protocol/formats/data.ts';
import { anyOf } from './sections.ts';

/**
 * Describes the values that a JSON Schema accepts, such as `whole number from 0 to 65535`.
 * @param unit the unit of a number, such as `bytes`.
 * @throws Error for a type that it cannot describe.
 */
export function valueText(schema: JsonObject, unit?: string): string {
  if (Array.isArray(schema['enum'])) return anyOf(schema['enum'].map((one) => `\`${String(one)}\``));
  if (Array.isArray(schema['anyOf']))
    return [...new Set(schema['anyOf'].filter(isObject).map((one) => valueText(one, unit)))].join(', or ');
  switch (schema['type']) {
    case 'integer':
      return `whole number${unit === undefined ? '' : ` of ${unit}`}${rangeText(schema)}`;
    case 'number':
      return `${unit ?? 'number'}${rangeText(schema)}`;
    case 'boolean':
      return '`true` or `false`';
    case 'string':
      return `text${lengthText(schema)}`;
    case 'array':
      return `list of ${isObject(schema['items'] ?? null) ? pluralText(schema['items'] as JsonObject) : 'anything'}`;
    case 'object':
      return 'object';
    case undefined:
      return 'anything';
    default:
      throw new Error(`There are no words for the type ${JSON.stringify(schema['type'])}`);
  }
}

function pluralText(schema: JsonObject): string {
  return schema['type'] === 'string' ? 'texts' : `${valueText(schema)}s`;
}

// An integer of valibot has the bounds of JavaScript's integers, which tell a reader nothing.
const isBound = (bound: Json | undefined): bound is number =>
  typeof bound === 'number' && Math.abs(bound) < Number.MAX_SAFE_INTEGER;

function rangeText(schema: JsonObject): string {
  const { minimum: from, maximum: to, exclusiveMinimum: above } = schema;
  if (isBound(above)) return isBound(to) ? `, above ${above}, at most ${to}` : `, above ${above}`;
  if (isBound(from) && isBound(to)) return ` from ${from} to ${to}`;
  if (isBound(from)) return `, at least ${from}`;
  return isBound(to) ? `, at most ${to}` : '';
}

function lengthText({ minLength, maxLength }: JsonObject): string {
  if (typeof maxLength === 'number')
    return typeof minLength === 'number'
      ? ` of ${minLength} to ${maxLength} characters`
      : ` of at most ${maxLength} characters`;
  return minLength === 1 ? ', not empty' : '';
}
