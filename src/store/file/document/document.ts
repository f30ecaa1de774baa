import { readJson, type JsonFileOptions, readJsonFile } from '../../../config/json-file.ts';
import type { FileHandle } from 'node:fs/promises';
import { isObject, type Json, type JsonObject } from '../../../protocol/formats/data.ts';
import { type Entry, stamp } from '../../../protocol/registry/entry.ts';
import { BrokerError } from '../../../protocol/errors.ts';
import { type Checksum, createChecksum, servicesLine } from '../journal/checksum.ts';
import {
  BACKUP,
  createRegistryLoader,
  newId,
  REGISTRY,
  type RegistryDocument,
  type RegistryIdentity,
  type RegistryLoader,
  SERVICES,
} from './registry-loader.ts';
import type { IndexSnapshot } from '../../memory/entry-index.ts';

export type { RegistryDocument, RegistryIdentity } from './registry-loader.ts';

/** A configuration file as it was read. {@link readDocument} checks its registry later. */
export interface StoredDocument {
  /** Everything except the registry and a backup's seal: the options at the time of the writing. */
  readonly options: JsonObject;
  /** The first entries that are plain strings, as a user writes them by hand and the broker does not. */
  readonly plain: JsonObject;
  /** The mark of a backup: see `backup-text.ts`. */
  readonly backup: Json | undefined;
  /** To be called once. */
  registry(): RegistryDocument;
}

/** About a fifth of a millisecond's work. */
const CHUNK_CHARS = 32 * 1024;
const SLICE_ENTRIES = 32;

/**
 * Reads the configuration file, its entries one by one; undefined where the file does not exist.
 * @throws BrokerError `invalid_config`, with line and column where the text is malformed.
 */
export async function readStored(file: string): Promise<StoredDocument | undefined> {
  const loader = createRegistryLoader(file);
  const content = await readJsonFile(file, { sections: loader.sections });
  return content && storedDocument(content, loader);
}

/** As {@link readStored}, for an open file. */
export async function readStoredFrom(
  handle: FileHandle,
  file: string,
  options: Pick<JsonFileOptions, 'onBytes'>,
): Promise<StoredDocument> {
  const loader = createRegistryLoader(file);
  return storedDocument(await readJson(handle, file, { ...options, sections: loader.sections }), loader);
}

function storedDocument(content: JsonObject, loader: RegistryLoader): StoredDocument {
  const { [REGISTRY]: registry, [BACKUP]: backup, ...options } = content;
  return { options, backup, plain: loader.plain(), registry: () => loader.finish(registry) };
}

/**
 * The checked registry of the configuration file.
 * @throws BrokerError `invalid_config`
 */
export function readDocument(stored: StoredDocument | undefined, file: string): RegistryDocument {
  if (stored === undefined) {
    return { id: newId(), since: 0, revision: 0, entries: new Map(), sizes: [], origin: 'new' };
  }
  if (!isObject(stored.options[SERVICES] ?? {})) {
    throw new BrokerError('invalid_config', `${file}: "${SERVICES}" must be an object of entries`);
  }
  return stored.registry();
}

/**
 * Everything in the configuration file except the registry (and a backup's seal): the options at the time of
 * the writing.
 */
export function optionsOf(stored: StoredDocument | undefined): JsonObject {
  return stored?.options ?? {};
}

/**
 * The text of the configuration file: the given options, the entries (one to a line), the registry's own
 * data. It comes in pieces of about a fifth of a millisecond's work, or of one entry where that is longer.
 */
export function* documentText(
  options: JsonObject,
  identity: RegistryIdentity,
  snapshot: IndexSnapshot,
): Generator<string, void, undefined> {
  yield '{\n';
  for (const [key, value] of Object.entries(options)) {
    if (key === SERVICES || key === REGISTRY) continue;
    yield `  ${JSON.stringify(key)}: ${indented(value, 2)},\n`;
  }
  const tally = createChecksum();
  const written: Entry[] = [];
  yield* servicesText(options[SERVICES], snapshot, tally, written);
  const since = identity.since === 0 ? '' : `    "since": ${identity.since},\n`;
  const checksum = tally.value(identity, snapshot.revision);
  yield `  "${REGISTRY}": {\n    "id": ${JSON.stringify(identity.id)},\n    "revision": ${snapshot.revision},\n${since}`;
  yield `    "checksum": "${checksum}",\n    "entries": {`;
  yield* lines(written, ({ name, revision, ttlMs }) => {
    const ttl = ttlMs === undefined ? '' : `, "ttl_ms": ${ttlMs}`;
    return `      ${JSON.stringify(name)}: {"revision": ${revision}${ttl}}`;
  });
  yield '\n    }\n  }\n}\n';
}

function* servicesText(
  options: Json | undefined,
  snapshot: IndexSnapshot,
  tally: Checksum,
  written: Entry[],
): Generator<string, void, undefined> {
  let entries = snapshot.next(SLICE_ENTRIES);
  // A top-level key allows a module, so `services` is not added without content.
  if (options === undefined && entries.length === 0) return;
  yield `  "${SERVICES}": {`;
  let separator = '\n';
  for (const [key, value] of Object.entries(isObject(options) ? optionsOfServices(options) : {})) {
    yield `${separator}    ${JSON.stringify(key)}: ${indented(value, 4)}`;
    separator = ',\n';
  }
  let text = '';
  for (; entries.length > 0; entries = snapshot.next(SLICE_ENTRIES)) {
    for (const entry of entries) {
      const line = servicesLine(entry.name, stamp(entry));
      tally.add(line, entry.revision, entry.ttlMs);
      written.push(entry);
      text += `${separator}    ${line}`;
      separator = ',\n';
      if (text.length < CHUNK_CHARS) continue;
      yield text;
      text = '';
    }
  }
  yield `${text}\n  },\n`;
}

function* lines<T>(items: readonly T[], line: (item: T) => string): Generator<string, void, undefined> {
  let text = '';
  let separator = '\n';
  for (const item of items) {
    text += separator + line(item);
    separator = ',\n';
    if (text.length < CHUNK_CHARS) continue;
    yield text;
    text = '';
  }
  yield text;
}

function optionsOfServices(services: JsonObject): JsonObject {
  const options: Record<string, Json> = {};
  for (const key in services) if (key.startsWith('_')) options[key] = services[key] ?? null;
  return options;
}

function indented(value: Json, columns: number): string {
  return JSON.stringify(value, null, 2).replaceAll('\n', `\n${' '.repeat(columns)}`);
}
