import { type FileHandle, open } from 'node:fs/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { crc32 } from 'node:zlib';
import { replaceFile } from '../../../config/atomic-write.ts';
import { readJson } from '../../../config/json-file.ts';
import type { Section } from '../../../config/json-members.ts';
import { mergeLayers } from '../../../config/layers.ts';
import { checkData, isObject, type Json, type JsonObject } from '../../../protocol/formats/data.ts';
import { type Entry, unstamp } from '../../../protocol/registry/entry.ts';
import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import { nameProblem } from '../../../protocol/registry/names.ts';
import {
  documentText,
  readDocument,
  readStoredFrom,
  type RegistryDocument,
  type RegistryIdentity,
} from '../document/document.ts';
import { paced } from '../document/paced.ts';
import { BACKUP, REGISTRY, registryHead, SERVICES } from '../document/registry-loader.ts';
import { createSealCheck, sealOf } from '../document/seal.ts';
import type { IndexSnapshot } from '../../memory/entry-index.ts';

/** A backup that has been read and checked. */
export interface Backup extends BackupHead {
  readonly document: RegistryDocument;
}

/** The facts of a backup, without its entries. */
export interface BackupHead {
  readonly id: string;
  readonly revision: number;
  readonly options: JsonObject;
  /** The time when it was made, by the clock of its host: ISO 8601, UTC. */
  readonly taken: string;
}

const FORMAT = 'bpbroker backup 1';
/** The number of entries that are checked in one turn of the event loop. */
const TURN_ENTRIES = 1000;

/**
 * Writes the configuration file of one moment, sealed. Its last member, `_backup`, holds a checksum of every
 * byte before it. So the options are covered too, which the file's own checksum leaves out. The mode is 0600
 * and the owner that of `file`: a backup that root makes by hand can be read and removed by the broker's
 * user.
 * @returns the number of bytes.
 */
export function writeBackup(
  target: string,
  file: string,
  content: {
    options: JsonObject;
    identity: RegistryIdentity;
    snapshot: IndexSnapshot;
    /** As in `paced`; default: a caller waits for it. */
    isHurried?: () => boolean;
  },
  onStep: (step: string) => void = () => undefined,
): Promise<number> {
  const text = documentText(content.options, content.identity, content.snapshot);
  const pieces = sealed(text, new Date().toISOString());
  return replaceFile(target, paced(pieces, content.isHurried ?? (() => true)), {
    mode: 0o600,
    ownerOf: file,
    onStep,
  });
}

function* sealed(text: Iterable<string>, taken: string): Generator<string, void, undefined> {
  let checksum = 0;
  let held = '';
  for (const piece of text) {
    checksum = crc32(held, checksum);
    yield held;
    held = piece;
  }
  // The end of the document, where the seal goes.
  const last = `${held.replace(/\n\}\n$/, '')},\n  "${BACKUP}": {"format": "${FORMAT}", "taken": "${taken}"`;
  yield `${last}${sealOf(crc32(last, checksum))}`;
}

/**
 * Reads a backup and checks all of it: the seal, the registry's own checksum, every entry by the rules of
 * entries, the options. It changes nothing.
 * @throws BrokerError `usage` when the file does not exist, `invalid_config` with the reason when it is not
 * whole.
 */
export async function readBackup(file: string): Promise<Backup> {
  return await withSeal(file, async (handle, onBytes, checkSeal) => {
    const stored = await readStoredFrom(handle, file, { onBytes });
    const { options } = stored;
    const taken = checkSeal(stored.backup);
    const document = readDocument(stored, file);
    let checked = 0;
    for (const entry of document.entries.values()) {
      checkEntry(entry.name, entry.data);
      checkState(entry, document.revision);
      if (++checked % TURN_ENTRIES === 0) await nextTurn();
    }
    mergeLayers({ file: options }, 'its options');
    return { document, id: document.id, revision: document.revision, options, taken };
  });
}

/**
 * Checks a backup as {@link readBackup} does, but holds none of its entries: the seal replaces the registry's
 * own checksum.
 * @throws BrokerError as {@link readBackup}.
 */
export async function checkBackup(file: string): Promise<BackupHead> {
  return await withSeal(file, async (handle, onBytes, checkSeal) => {
    const problems: BrokerError[] = [];
    const entries: Section = {
      member(name, value) {
        if (name.startsWith('_')) return false;
        problems.push(...problemsOf(name, value).slice(0, 1 - problems.length));
        return true;
      },
    };
    const sections = { [SERVICES]: entries, [REGISTRY]: { sections: { entries: { member: () => true } } } };
    const {
      [REGISTRY]: registry,
      [BACKUP]: described,
      ...options
    } = await readJson(handle, file, {
      sections,
      onBytes,
    });
    const taken = checkSeal(described);
    if (registry === undefined) throw new BrokerError('invalid_config', `it has no "${REGISTRY}"`);
    const { id, revision } = registryHead(registry, file);
    const [problem] = problems;
    if (problem) throw problem;
    mergeLayers({ file: options }, 'its options');
    return { id, revision, options, taken };
  });
}

type Reading<T> = (
  handle: FileHandle,
  onBytes: (bytes: Uint8Array) => void,
  /** Called after everything has been read, with the value of `_backup`. Returns the time of the backup. */
  checkSeal: (described: Json | undefined) => string,
) => Promise<T>;

async function withSeal<T>(file: string, read: Reading<T>): Promise<T> {
  const handle = await openBackup(file);
  try {
    const seal = createSealCheck();
    return await read(handle, seal.add, (described) => takenOf(file, described, seal.isIntact()));
  } catch (error) {
    throw isRefusal(error, file) ? error : refusal(file, withoutFile(messageOf(error), file), error);
  } finally {
    await handle.close();
  }
}

/** The message about any file as a reason: the caller has named the file already. */
function withoutFile(message: string, file: string): string {
  if (message.startsWith(`${file} is not valid UTF-8`)) return 'it is not valid UTF-8';
  if (!message.startsWith(`${file}:`)) return message;
  const rest = message.slice(file.length + 1).trimStart();
  return /^\d+:\d+: /.test(rest) ? `line:column ${rest}` : rest;
}

function takenOf(file: string, described: Json | undefined, isIntact: boolean): string {
  if (described === undefined) {
    throw refusal(
      file,
      `it has no "${BACKUP}", which every backup ends with; a configuration file is put in place by hand, with the broker stopped`,
    );
  }
  const { format, taken } = isObject(described) ? described : {};
  if (typeof format === 'string' && format !== FORMAT && /^bpbroker backup \d+$/.test(format)) {
    throw refusal(file, `it is a '${format}', made by a newer version; this one reads '${FORMAT}'`);
  }
  if (!isIntact) throw refusal(file, 'it does not match its checksum: it is damaged, or was changed');
  if (format !== FORMAT || typeof taken !== 'string') throw refusal(file, `its "${BACKUP}" is malformed`);
  return taken;
}

function problemsOf(name: string, value: Json): BrokerError[] {
  try {
    if (isObject(value)) checkEntry(name, unstamp(value).data);
    return [];
  } catch (error) {
    return [error as BrokerError];
  }
}

function checkEntry(name: string, data: JsonObject): void {
  const problem = nameProblem(name);
  if (problem !== undefined) throw new BrokerError('invalid_config', `an entry's name: ${problem}`);
  try {
    checkData(data);
  } catch (error) {
    throw new BrokerError('invalid_config', `entry '${name}': ${messageOf(error)}`, { cause: error });
  }
}

function checkState({ name, lastWriteTs, revision, ttlMs }: Entry, last: number): void {
  const fits = revision >= 0 && revision <= last && Number.isFinite(lastWriteTs);
  if (!fits || (ttlMs !== undefined && !(ttlMs > 0 && Number.isFinite(ttlMs)))) {
    throw new BrokerError('invalid_config', `entry '${name}': its revision, time or lifetime is impossible`);
  }
}

async function openBackup(file: string): Promise<FileHandle> {
  try {
    const handle = await open(file, 'r');
    if ((await handle.stat()).isFile()) return handle;
    await handle.close();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new BrokerError('usage', `No such backup: ${file}`, { cause: error });
    throw refusal(file, messageOf(error), error);
  }
  throw refusal(file, 'it is not a file');
}

const REFUSED = 'Cannot use the backup';

function isRefusal(error: unknown, file: string): boolean {
  return error instanceof BrokerError && error.message.startsWith(`${REFUSED} ${file}: `);
}

function refusal(file: string, why: string, cause?: unknown): BrokerError {
  return new BrokerError('invalid_config', `${REFUSED} ${file}: ${why}; nothing was changed`, { cause });
}
