import { BrokerError } from '../errors.ts';
import { parseJson } from './json.ts';

/** Any JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
/** A JSON object. */
export interface JsonObject {
  readonly [key: string]: Json;
}

/**
 * The data of an entry: a JSON object. A string is held as the object `{"_str": …}`, which is also its form
 * in the configuration file and on the wire (contract, sections 4 and 5).
 */
export type EntryData = JsonObject;

/** The largest data of one entry, in bytes of its JSON text. */
export const MAX_DATA_BYTES: number = 1024 * 1024;
/** The deepest nesting of objects and arrays in data. */
export const MAX_DATA_DEPTH = 64;
/** The key that holds a string. */
export const STRING_KEY = '_str';

const pollutingKeys = new Set(['__proto__', 'constructor', 'prototype']);
const stampKeys = new Set(['last_write_ip', 'last_write_ts']);

/**
 * Reads data as a user wrote it. Text that parses as a JSON object becomes that object, any other text stays
 * a string. An object is taken as it is.
 * @throws BrokerError `invalid_request` for any other value and for reserved keys; `too_large` beyond 1 MiB.
 */
export function toEntryData(input: unknown): EntryData {
  if (typeof input === 'string') {
    const parsed = parseObject(input);
    return checkData(parsed ?? { [STRING_KEY]: input });
  }
  if (isObject(input)) return checkData(input);
  throw new BrokerError(
    'invalid_request',
    `Invalid data: expected a JSON object or a string, got ${kindOf(input)}`,
  );
}

/** The object that `text` is the JSON of; undefined for any other text. */
export function parseObject(text: string): JsonObject | undefined {
  if (!text.trimStart().startsWith('{')) return undefined;
  let parsed: unknown;
  try {
    parsed = parseJson(text);
  } catch {
    return undefined;
  }
  if (!isObject(parsed)) return undefined;
  checkNumbers(text);
  checkJson(parsed, MAX_DATA_DEPTH);
  return parsed;
}

/**
 * Checks a JSON value for depth and for keys that would reach into the prototypes of an object it is merged
 * into.
 * @throws BrokerError `invalid_request` where it nests more than `depth` objects and arrays, or uses such a
 * key.
 */
export function checkJson(value: unknown, depth: number): void {
  if (typeof value !== 'object' || value === null) return;
  if (depth === 0) throw tooDeep();
  if (Array.isArray(value)) {
    for (const item of value) checkJson(item, depth - 1);
    return;
  }
  for (const key of Object.keys(value)) {
    if (pollutingKeys.has(key)) throw polluting(key);
    checkJson((value as JsonObject)[key], depth - 1);
  }
}

/** @throws BrokerError `invalid_request` where `key` must not be the name of a parameter. */
export function checkKey(key: string): void {
  if (pollutingKeys.has(key)) throw polluting(key);
}

function tooDeep(): BrokerError {
  return new BrokerError('invalid_request', `Invalid data: nested deeper than ${MAX_DATA_DEPTH} levels`);
}

function polluting(key: string): BrokerError {
  return new BrokerError('invalid_request', `Invalid data: the key '${key}' is not allowed`);
}

/** The string that `data` holds; undefined for an object of the user. */
export function stringOf(data: EntryData): string | undefined {
  const text = data[STRING_KEY];
  if (typeof text !== 'string') return undefined;
  for (const key in data) if (key !== STRING_KEY) return undefined;
  return text;
}

/**
 * Merges `patch` into `base` and returns the result; neither is changed. Objects merge deeply. Any other
 * value of `patch` replaces that of `base`, and arrays are replaced whole. Values are shared and not copied,
 * for data is never changed in place.
 */
export function mergeData(base: EntryData, patch: EntryData): EntryData {
  const merged: Record<string, Json> = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    const present = Object.hasOwn(merged, key) ? merged[key] : undefined;
    merged[key] = isObject(present) && isObject(value) ? mergeData(present, value) : value;
  }
  return merged;
}

/** Whether two values are equal as JSON; the order of keys does not matter. */
export function sameData(a: Json | undefined, b: Json | undefined): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, i) => sameData(item as Json, b[i] as Json));
  }
  if (!isObject(a) || !isObject(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length &&
    keys.every((key) => Object.hasOwn(b, key) && sameData(a[key], b[key]))
  );
}

/**
 * Returns `data` if it may be stored.
 * @throws BrokerError `invalid_request` for reserved keys and for depth, `too_large` for size.
 */
export function checkData(data: EntryData): EntryData {
  for (const key of stampKeys) {
    if (Object.hasOwn(data, key)) {
      throw new BrokerError(
        'invalid_request',
        `Invalid data: the key '${key}' is reserved; the broker sets it itself`,
      );
    }
  }
  if (Object.hasOwn(data, STRING_KEY) && typeof data[STRING_KEY] !== 'string') {
    throw new BrokerError(
      'invalid_request',
      `Invalid data: '${STRING_KEY}' must be a string, got ${kindOf(data[STRING_KEY])}`,
    );
  }
  // Most data is far below the limit: the upper bound shows that without the cost of its text.
  if (checkNested(data, 1) > MAX_DATA_BYTES) {
    const bytes = Buffer.byteLength(JSON.stringify(data));
    if (bytes > MAX_DATA_BYTES) {
      throw new BrokerError(
        'too_large',
        `Invalid data: at most ${MAX_DATA_BYTES} bytes of JSON, got ${bytes}`,
      );
    }
  }
  return data;
}

/** Whether a value is an object, and neither null nor an array. */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Checks keys and depth, and returns an upper bound for the bytes of the value's JSON text. */
function checkNested(value: Json, depth: number): number {
  if (typeof value === 'string') return textBound(value);
  // The longest number is 25 characters, -1.2345678901234567e-308 with its comma.
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new BrokerError(
      'invalid_request',
      'Invalid data: a number is too large to be kept; send it as a string',
    );
  }
  if (typeof value !== 'object' || value === null) return 25;
  if (depth > MAX_DATA_DEPTH) throw tooDeep();
  let bound = 2;
  if (Array.isArray(value)) {
    for (const item of value as readonly Json[]) bound += checkNested(item, depth + 1) + 1;
    return bound;
  }
  for (const [key, item] of Object.entries(value as JsonObject)) {
    if (pollutingKeys.has(key)) throw polluting(key);
    bound += textBound(key) + checkNested(item, depth + 1) + 2;
  }
  return bound;
}

/** A UTF-16 unit takes at most six bytes, as an escape. */
function textBound(text: string): number {
  return 6 * text.length + 2;
}

/**
 * Checks JSON text for integers beyond 2^53, which parsing changes silently: stored data must be what was
 * sent.
 * @throws BrokerError `invalid_request` for such an integer.
 */
export function checkNumbers(text: string): void {
  if (!/\d{16}/.test(text)) return;
  // A step takes as many characters as it can: with one in each, Bun takes 0.2 s for 1 MiB.
  const withoutStrings = text.replaceAll(/"[^"\\]*(?:\\.[^"\\]*)*"/g, '""');
  const inexact = withoutStrings
    .match(/(?<![\d.])-?\d{16,}/g)
    ?.find((digits) => !Number.isSafeInteger(Number(digits)));
  if (inexact === undefined) return;
  throw new BrokerError(
    'invalid_request',
    `Invalid data: the number ${inexact} cannot be kept exactly; send it as a string`,
  );
}

/** The kind of a value in words: `an array`, `an object`, `a string`, `null`. */
export function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
