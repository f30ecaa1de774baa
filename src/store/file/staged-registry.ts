import { randomBytes } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { ifPresent, replaceFile, syncDirectory } from '../../config/atomic-write.ts';
import { readJsonFile } from '../../config/json-file.ts';
import type { Section } from '../../config/json-members.ts';
import { isObject, type Json, type JsonObject } from '../../protocol/formats/data.ts';
import { stamp } from '../../protocol/registry/entry.ts';
import { BrokerError } from '../../protocol/errors.ts';
import type { EntryIndex } from '../memory/entry-index.ts';
import { documentText, type RegistryIdentity } from './document/document.ts';
import { REGISTRY, registryHead, SERVICES } from './document/registry-loader.ts';

/** A registry from elsewhere that will be put into a configuration file. */
export interface StageOptions {
  readonly file: string;
  readonly options: JsonObject;
  readonly identity: RegistryIdentity;
  /** It must not change meanwhile. */
  readonly index: EntryIndex;
  /** Called with the number of compared entries. */
  readonly onProgress: (done: number) => void;
  readonly signal: AbortSignal;
}

/** A file that has been written and compared. */
export interface StagedRegistry {
  /** Moves it to its path, in one step. */
  place(): Promise<void>;
  /** Makes that durable. */
  settle(): Promise<void>;
  /** Removes it. */
  drop(): Promise<void>;
}

/**
 * Writes the configuration file beside its path, reads it back and compares every entry with the index. If it
 * is never put in place, the next start removes it.
 * @throws BrokerError `internal` that names the first wrong entry; the system's error.
 */
export async function stageRegistry(staging: StageOptions): Promise<StagedRegistry> {
  const { file, options, identity, index } = staging;
  // A name that the next start removes after a crash.
  const written = `${file}.tmp-${randomBytes(8).toString('hex')}`;
  const drop = (): Promise<void> => rm(written, { force: true });
  const here = await ifPresent(stat(file));
  const snapshot = index.snapshot();
  try {
    const mode = here ? here.mode & 0o777 : 0o600;
    await replaceFile(written, documentText(options, identity, snapshot), { mode, ownerOf: file });
    await compare(written, staging);
  } catch (error) {
    await drop();
    throw error;
  } finally {
    snapshot.end();
  }
  return {
    drop,
    place: () => rename(written, file),
    settle: () => syncDirectory(path.dirname(file)),
  };
}

async function compare(
  written: string,
  { identity, index, onProgress, signal }: StageOptions,
): Promise<void> {
  let entries = 0;
  let states = 0;
  let wrong: string | undefined;
  const services: Section = {
    member(name, value) {
      if (name.startsWith('_')) return false;
      signal.throwIfAborted();
      const entry = index.get(name);
      if (entry === undefined || !isSame(value, stamp(entry))) wrong ??= name;
      entries++;
      onProgress(entries);
      return true;
    },
  };
  const recorded: Section = {
    member(name, value) {
      const entry = index.get(name);
      const { revision, ttl_ms: ttl } = isObject(value) ? value : {};
      if (revision !== entry?.revision || ttl !== entry?.ttlMs) wrong ??= name;
      states++;
      return true;
    },
  };
  const sections = { [SERVICES]: services, [REGISTRY]: { sections: { entries: recorded } } };
  const { [REGISTRY]: registry = null } = (await readJsonFile(written, { sections })) ?? {};
  const head = registryHead(registry, written);
  const isHeadSame =
    head.id === identity.id && head.since === identity.since && head.revision === index.revision;
  if (wrong === undefined && isHeadSame && entries === index.size && states === index.size) return;
  const what = wrong === undefined ? 'the registry' : `the entry '${wrong}'`;
  throw new BrokerError(
    'internal',
    `The file does not hold ${what} as it was written; nothing was switched: check the disk`,
  );
}

function isSame(a: Json, b: Json): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
