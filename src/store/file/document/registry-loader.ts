import { randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { JsonFileOptions } from '../../../config/json-file.ts';
import { isObject, type Json, type JsonObject, kindOf, STRING_KEY } from '../../../protocol/formats/data.ts';
import { type Entry, stamp, unstamp } from '../../../protocol/registry/entry.ts';
import { BrokerError } from '../../../protocol/errors.ts';
import { createChecksum, servicesLine } from '../journal/checksum.ts';
import { createRecordedStates, setState } from './recorded-states.ts';
import { isRevision } from '../journal/records.ts';
import { sizeInLine, sizeOf } from '../../memory/entry-size.ts';

/** The identity of the registry in its file, under the key `_registry`. */
export interface RegistryIdentity {
  readonly id: string;
  /**
   * Journals from before this revision do not belong to the present state: it was changed by hand then.
   * Mostly 0.
   */
  readonly since: number;
}

/** The registry part of the configuration file. */
export interface RegistryDocument extends RegistryIdentity {
  readonly revision: number;
  /** The entries by name, in the order of the file. An index takes the map over. */
  readonly entries: Map<string, Entry>;
  /** The size of each of them for `_store.max_bytes`, in the same order. */
  readonly sizes: readonly number[];
  /**
   * `written`: unchanged since the broker wrote it. `edited`: the checksum was removed, to accept changes by
   * hand. `new`: a file without `_registry`, such as one of the original product, or no file.
   */
  readonly origin: 'written' | 'edited' | 'new';
}

export const REGISTRY = '_registry';
/** The further member of a backup: see `backup-text.ts`. */
export const BACKUP = '_backup';
export const SERVICES = 'services';

/** Takes the entries of a configuration file one by one while it is read. */
export interface RegistryLoader {
  /** The first entries that are plain strings, as a user writes them by hand and the broker does not. */
  readonly plain: () => JsonObject;
  readonly sections: NonNullable<JsonFileOptions['sections']>;
  /**
   * The registry, once everything has been read. To be called once.
   * @param registry the file's `_registry` without its entries.
   * @throws BrokerError `invalid_config`
   */
  finish(registry: Json | undefined): RegistryDocument;
}

/** Most addresses belong to few clients: all entries of one client share one text. */
const KEPT_ADDRESSES = 4096;
const KEPT_PLAIN = 1000;

/** @param file is named in errors. */
export function createRegistryLoader(file: string): RegistryLoader {
  let entries = new Map<string, Entry>();
  /** The CRC-32 and the bytes of each entry's text, as long as no name came twice. */
  let sums: number[] = [];
  let lengths: number[] = [];
  let members = 0;
  let problem: BrokerError | undefined;
  let plain: Record<string, Json> = {};
  let plainCount = 0;
  let states = createRecordedStates(entries);
  const addresses = new Map<string, string>();

  function addressOf(address: string): string {
    const known = addresses.get(address);
    if (known !== undefined) return known;
    if (addresses.size < KEPT_ADDRESSES) addresses.set(address, address);
    return address;
  }

  function add(name: string, value: Json, text: string): void {
    members++;
    if (typeof value === 'string' && plainCount++ < KEPT_PLAIN) plain[name] = value;
    const stamped = typeof value === 'string' ? { [STRING_KEY]: value } : value;
    if (!isObject(stamped)) {
      problem ??= noEntry(name, value, file);
      return;
    }
    const { data, lastWriteTs, lastWriteIp } = unstamp(stamped);
    entries.set(name, { name, data, lastWriteTs, lastWriteIp: addressOf(lastWriteIp), revision: 0 });
    sums.push(crc32(text));
    lengths.push(Buffer.byteLength(text));
  }

  const services = {
    begin() {
      const earlier = states.all();
      entries = new Map();
      [sums, lengths, members, problem] = [[], [], 0, undefined];
      [plain, plainCount] = [{}, 0];
      states = createRecordedStates(entries, earlier);
    },
    member(name: string, value: Json, text: string): boolean {
      if (name.startsWith('_')) return false;
      add(name, value, text);
      return true;
    },
  };
  const recorded = {
    begin() {
      states = createRecordedStates(entries);
    },
    member(name: string, value: Json): boolean {
      const own = isObject(value) ? value : {};
      const revision = isRevision(own['revision']) ? own['revision'] : 0;
      states.take(name, { revision, ttlMs: typeof own['ttl_ms'] === 'number' ? own['ttl_ms'] : undefined });
      return true;
    },
  };

  /**
   * The sum over the entries' texts as they were read; undefined where they differ from the broker's own
   * form.
   */
  function sumAsRead(identity: RegistryIdentity, revision: number): string | undefined {
    if (!states.inOrder || states.taken !== entries.size || members !== entries.size) return undefined;
    const tally = createChecksum();
    let i = 0;
    for (const entry of entries.values()) {
      tally.addSummed(sums[i] ?? 0, lengths[i] ?? 0, entry.revision, entry.ttlMs);
      i++;
    }
    return tally.value(identity, revision);
  }

  function sumAnew(identity: RegistryIdentity, revision: number): string {
    const tally = createChecksum();
    for (const entry of entries.values()) {
      tally.add(servicesLine(entry.name, stamp(entry)), entry.revision, entry.ttlMs);
    }
    return tally.value(identity, revision);
  }

  function sizes(asRead: boolean): number[] {
    let i = 0;
    const found: number[] = [];
    for (const entry of entries.values()) {
      found.push(asRead ? sizeInLine(lengths[i++] ?? 0, entry) : sizeOf(entry));
    }
    return found;
  }

  return {
    plain: () => plain,
    sections: { [SERVICES]: services, [REGISTRY]: { sections: { entries: recorded } } },
    finish(registry) {
      if (problem !== undefined) throw problem;
      if (registry === undefined) {
        let revision = 0;
        for (const entry of entries.values()) setState(entry, { revision: ++revision, ttlMs: undefined });
        return { id: newId(), since: 0, revision, entries, sizes: sizes(false), origin: 'new' };
      }
      const { id, since, revision, checksum } = registryHead(registry, file);
      const complete = states.settle();
      const asRead = checksum !== undefined && sumAsRead({ id, since }, revision) === checksum;
      const isWritten = asRead || (complete && sumAnew({ id, since }, revision) === checksum);
      if (checksum !== undefined && !isWritten) throw changedOutside(file);
      for (const entry of entries.values()) {
        if (entry.revision > revision) setState(entry, { revision, ttlMs: undefined });
      }
      const origin = checksum === undefined ? 'edited' : 'written';
      const found = { id, since, revision, entries, sizes: sizes(asRead), origin } as const;
      // They may otherwise stay in memory as long as the entries.
      [sums, lengths] = [[], []];
      return found;
    },
  };
}

/**
 * The identity of a registry in its file.
 * @throws BrokerError `invalid_config`
 */
export function registryHead(
  registry: Json,
  file: string,
): RegistryIdentity & { revision: number; checksum: Json | undefined } {
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
  return { id, since, revision, checksum };
}

export function newId(): string {
  return randomBytes(8).toString('hex');
}

function noEntry(name: string, value: Json, file: string): BrokerError {
  return new BrokerError(
    'invalid_config',
    `${file}: entry ${JSON.stringify(name)} in "${SERVICES}" must be an object or a string, got ${kindOf(value)}`,
  );
}

function changedOutside(file: string): BrokerError {
  return new BrokerError(
    'invalid_config',
    `${file}: the entries do not match their checksum: they were changed outside of the broker, or the file is damaged; ` +
      `nothing was touched. To accept the entries as they are, remove the "checksum" line under "${REGISTRY}"`,
  );
}
