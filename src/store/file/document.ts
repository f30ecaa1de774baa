import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { isObject, type Json, type JsonObject, STRING_KEY } from '../../protocol/data.ts';
import { type Entry, stamp, unstamp } from '../../protocol/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { isRevision, makeEntry } from './records.ts';
import type { TableSnapshot } from './table.ts';

/** What identifies the registry in its file, under the key `_registry`. */
export interface RegistryIdentity {
  readonly id: string;
  /** Journals from before this revision do not lead to this registry: it was changed by hand then. Mostly 0. */
  readonly since: number;
}

/** The registry part of the configuration file. */
export interface RegistryDocument extends RegistryIdentity {
  readonly revision: number;
  readonly entries: readonly Entry[];
  /**
   * `written`: just as the broker wrote it. `edited`: the checksum was removed, to accept changes by hand.
   * `new`: a file without `_registry`, such as one of the original product or none at all.
   */
  readonly origin: 'written' | 'edited' | 'new';
}

const REGISTRY = '_registry';
/** What a backup holds besides: `backup-text.ts`. */
export const BACKUP = '_backup';
const SERVICES = 'services';
const CHUNK_CHARS = 128 * 1024;
const SLICE_ENTRIES = 32;

/** Reads the registry out of the parsed configuration file. Throws `invalid_config`. */
export function readDocument(document: JsonObject | undefined, file: string): RegistryDocument {
  const services = document?.[SERVICES] ?? {};
  if (!isObject(services)) {
    throw new BrokerError('invalid_config', `${file}: "${SERVICES}" must be an object of entries`);
  }
  const names = Object.keys(services).filter((name) => !name.startsWith('_'));
  const stamped = names.map((name) => stampedOf(services, name, file));
  const registry = document?.[REGISTRY];
  if (registry === undefined) {
    const entries = names.map((name, i) => entryOf(name, stamped[i] ?? {}, i + 1, undefined));
    return { id: newId(), since: 0, revision: names.length, entries, origin: 'new' };
  }
  const { id, since, revision, checksum, recorded } = registryOf(registry, file);
  const tally = createChecksum();
  const entries = names.map((name, i) => {
    const known = Object.hasOwn(recorded, name) ? recorded[name] : undefined;
    const own = isObject(known) ? known : {};
    const ownRevision = isRevision(own['revision']) ? own['revision'] : 0;
    const ttlMs = typeof own['ttl_ms'] === 'number' ? own['ttl_ms'] : undefined;
    const data = stamped[i] ?? {};
    tally.add(servicesLine(name, data), ownRevision, ttlMs);
    return entryOf(name, data, Math.min(ownRevision, revision), ttlMs);
  });
  if (checksum === undefined) return { id, since, revision, entries, origin: 'edited' };
  const extra = Object.keys(recorded).length !== names.length;
  if (extra || tally.value({ id, since }, revision) !== checksum) throw changedOutside(file);
  return { id, since, revision, entries, origin: 'written' };
}

/** Everything in the configuration file but the registry (and a backup's seal): the options when it was written. */
export function optionsOf(document: JsonObject | undefined): JsonObject {
  const options: Record<string, Json> = {};
  for (const [key, value] of Object.entries(document ?? {})) {
    if (key === REGISTRY || key === BACKUP) continue;
    options[key] = key === SERVICES && isObject(value) ? optionsOfServices(value) : value;
  }
  return options;
}

/**
 * The text of the configuration file: the options as given, the entries (one a line), the registry's own data. Piece by
 * piece, each a millisecond's work or so.
 */
export function* documentText(
  options: JsonObject,
  identity: RegistryIdentity,
  snapshot: TableSnapshot,
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
  snapshot: TableSnapshot,
  tally: Checksum,
  written: Entry[],
): Generator<string, void, undefined> {
  let entries = snapshot.next(SLICE_ENTRIES);
  // A top-level key allows a module, so `services` is not added where there is nothing to hold in it.
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

/** An entry's line in `services`: what its checksum covers, with its revision and lifetime. */
function servicesLine(name: string, stamped: JsonObject): string {
  return `${JSON.stringify(name)}: ${JSON.stringify(stamped)}`;
}

interface Checksum {
  add(line: string, revision: number, ttlMs: number | undefined): void;
  value(identity: RegistryIdentity, revision: number): string;
}

/**
 * Covers every entry's text, revision and lifetime, and the registry's own. The sum does not depend on the order of the
 * entries: JSON objects have none that parsing keeps (names such as `10` come first).
 */
function createChecksum(): Checksum {
  let sum = 0;
  let count = 0;
  return {
    add(line, revision, ttlMs) {
      sum = (sum + crc32(`${revision} ${ttlMs ?? ''} ${line}`)) >>> 0;
      count++;
    },
    value: ({ id, since }, revision) =>
      crc32(JSON.stringify([id, since, revision, count, sum]))
        .toString(16)
        .padStart(8, '0'),
  };
}

function registryOf(
  registry: Json,
  file: string,
): RegistryIdentity & { revision: number; checksum: Json | undefined; recorded: JsonObject } {
  const { id, since = 0, revision, checksum, entries, ...unknown } = isObject(registry) ? registry : {};
  const [newer] = Object.keys(unknown);
  if (newer !== undefined) {
    throw new BrokerError(
      'invalid_config',
      `${file}: "${REGISTRY}" holds ${JSON.stringify(newer)}, which this version does not know: a newer bpbroker wrote it; use that one; nothing was touched`,
    );
  }
  if (typeof id !== 'string' || !isRevision(revision) || !isRevision(since) || !isObject(entries)) {
    throw new BrokerError(
      'invalid_config',
      `${file}: "${REGISTRY}" must hold "id", "revision" and "entries" as the broker wrote them; nothing was touched`,
    );
  }
  return { id, since, revision, checksum, recorded: entries };
}

function stampedOf(services: JsonObject, name: string, file: string): JsonObject {
  const value = services[name];
  if (typeof value === 'string') return { [STRING_KEY]: value };
  if (isObject(value)) return value;
  throw new BrokerError(
    'invalid_config',
    `${file}: entry ${JSON.stringify(name)} in "${SERVICES}" must be an object or a string, got ${JSON.stringify(value)?.slice(0, 40)}`,
  );
}

function entryOf(name: string, stamped: JsonObject, revision: number, ttlMs: number | undefined): Entry {
  const { data, lastWriteTs, lastWriteIp } = unstamp(stamped);
  return makeEntry(name, data, lastWriteTs, lastWriteIp, revision, ttlMs);
}

function optionsOfServices(services: JsonObject): JsonObject {
  const options: Record<string, Json> = {};
  for (const key in services) if (key.startsWith('_')) options[key] = services[key] ?? null;
  return options;
}

function indented(value: Json, columns: number): string {
  return JSON.stringify(value, null, 2).replaceAll('\n', `\n${' '.repeat(columns)}`);
}

function newId(): string {
  return randomBytes(8).toString('hex');
}

function changedOutside(file: string): BrokerError {
  return new BrokerError(
    'invalid_config',
    `${file}: the entries do not match their checksum: they were changed outside of the broker, or the file is damaged; ` +
      `nothing was touched. To accept the entries as they are, remove the "checksum" line under "${REGISTRY}"`,
  );
}
