import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { replaceFile } from '../../config/atomic-write.ts';
import { parseJsonText } from '../../config/json-file.ts';
import { mergeLayers } from '../../config/layers.ts';
import { checkData, isObject, type JsonObject } from '../../protocol/data.ts';
import type { Entry } from '../../protocol/entry.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { nameProblem } from '../../protocol/names.ts';
import {
  BACKUP,
  documentText,
  optionsOf,
  readDocument,
  type RegistryDocument,
  type RegistryIdentity,
} from './document.ts';
import type { TableSnapshot } from './table.ts';

/** A backup that has been read and found whole. */
export interface Backup {
  readonly document: RegistryDocument;
  readonly options: JsonObject;
  /** When it was made, by the clock of its host: ISO 8601, UTC. */
  readonly taken: string;
}

const FORMAT = 'bpbroker backup 1';
const SEAL_BYTES = 64;
const seal = /, "checksum": "([0-9a-f]{8})"\}\n\}\n$/;

/**
 * Writes the configuration file as of one moment, sealed: its last member, `_backup`, holds a checksum of every byte
 * before it, so that options, which the file's own checksum leaves out, are covered too. Mode 0600, the owner that of
 * `file`, so that what root makes by hand can be read and removed by the broker's user. Gives its bytes.
 */
export function writeBackup(
  target: string,
  file: string,
  content: { options: JsonObject; identity: RegistryIdentity; snapshot: TableSnapshot },
  onStep: (step: string) => void = () => undefined,
): Promise<number> {
  const text = documentText(content.options, content.identity, content.snapshot);
  return replaceFile(target, sealed(text, new Date().toISOString()), { mode: 0o600, ownerOf: file, onStep });
}

function* sealed(text: Iterable<string>, taken: string): Generator<string, void, undefined> {
  let checksum = 0;
  let held = '';
  for (const piece of text) {
    checksum = crc32(held, checksum);
    yield held;
    held = piece;
  }
  // The document's end, behind which the seal is put in.
  const last = `${held.replace(/\n\}\n$/, '')},\n  "${BACKUP}": {"format": "${FORMAT}", "taken": "${taken}"`;
  const sum = crc32(last, checksum).toString(16).padStart(8, '0');
  yield `${last}, "checksum": "${sum}"}\n}\n`;
}

/**
 * Reads a backup and checks all of it: the seal, the registry's own checksum, every entry by the rules of entries, the
 * options. Touches nothing.
 * @throws BrokerError `usage` when there is no such file, `invalid_config` with the reason when it is not whole.
 */
export async function readBackup(file: string): Promise<Backup> {
  const bytes = await readWhole(file);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw refusal(file, 'it is not valid UTF-8', error);
  }
  const parsed = await parseJsonText(text, file).catch((error: unknown) => {
    // Its message begins with file, line and column.
    const where = messageOf(error).slice(file.length).replace(/^:\s*/, '');
    throw refusal(file, /^\d/.test(where) ? `line:column ${where}` : where, error);
  });
  const taken = checkSeal(file, bytes, parsed);
  try {
    const document = readDocument(parsed, file);
    for (const entry of document.entries) checkEntry(entry, document.revision);
    const options = optionsOf(parsed);
    mergeLayers({ file: options }, 'its options');
    return { document, options, taken };
  } catch (error) {
    throw refusal(file, messageOf(error), error);
  }
}

function checkSeal(file: string, bytes: Buffer, parsed: JsonObject): string {
  const described = parsed[BACKUP];
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
  const end = seal.exec(bytes.toString('latin1', Math.max(0, bytes.length - SEAL_BYTES)));
  const covered = end ? bytes.subarray(0, bytes.length - end[0].length) : bytes;
  if (end === null || crc32(covered) !== Number.parseInt(end[1] ?? '', 16)) {
    throw refusal(file, 'it does not match its checksum: it is damaged, or was changed');
  }
  if (format !== FORMAT || typeof taken !== 'string') throw refusal(file, `its "${BACKUP}" is malformed`);
  return taken;
}

function checkEntry({ name, data, lastWriteTs, revision, ttlMs }: Entry, last: number): void {
  const problem = nameProblem(name);
  if (problem !== undefined) throw new BrokerError('invalid_config', `an entry's name: ${problem}`);
  try {
    checkData(data);
  } catch (error) {
    throw new BrokerError('invalid_config', `entry '${name}': ${messageOf(error)}`, { cause: error });
  }
  const fits = revision >= 0 && revision <= last && Number.isFinite(lastWriteTs);
  if (!fits || (ttlMs !== undefined && !(ttlMs > 0 && Number.isFinite(ttlMs)))) {
    throw new BrokerError('invalid_config', `entry '${name}': its revision, time or lifetime is impossible`);
  }
}

async function readWhole(file: string): Promise<Buffer> {
  try {
    const handle = await open(file, 'r');
    try {
      if (!(await handle.stat()).isFile()) throw new Error('it is not a file');
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') throw new BrokerError('usage', `No such backup: ${file}`, { cause: error });
    throw refusal(file, messageOf(error), error);
  }
}

function refusal(file: string, why: string, cause?: unknown): BrokerError {
  return new BrokerError('invalid_config', `Cannot use the backup ${file}: ${why}; nothing was changed`, {
    cause,
  });
}
