import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import path from 'node:path';
import { ifPresent, runsAsRoot } from '../../../config/atomic-write.ts';
import type { Change } from '../../../protocol/registry/entry.ts';
import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import { type JournalText, readJournal, withoutSpare } from './frames.ts';
import { decodeRecord } from './records.ts';

/** A journal that is not written any more. */
export interface JournalFile {
  readonly path: string;
  /** The registry's revision before its first record. */
  readonly base: number;
  /** The revision of its last record, or `base`. */
  readonly end: number;
  /** The file's size in bytes, without spare room. */
  readonly bytes: number;
}

export interface LoadedJournal extends JournalFile {
  readonly content: Buffer;
  readonly text: JournalText;
  readonly changes: readonly Change[];
  /** The bytes of each change's record, about. */
  readonly sizes: readonly number[];
}

const READ_BYTES = 16 * 1024 * 1024;

/** Root never follows a symbolic link. Windows has no such flag. */
const noFollow: number = runsAsRoot() ? (constants.O_NOFOLLOW ?? 0) : 0;

export function journalPath(file: string, base: number): string {
  return `${file}.journal.${String(base).padStart(16, '0')}`;
}

/**
 * The journals beside `file`, the oldest first; empty where there is no such folder.
 * @throws the system's error.
 */
export async function listJournals(file: string): Promise<{ path: string; base: number }[]> {
  const dir = path.dirname(file);
  const start = `${path.basename(file)}.journal.`;
  const found: { path: string; base: number }[] = [];
  for (const item of (await ifPresent(readdir(dir, { withFileTypes: true }))) ?? []) {
    if (!item.name.startsWith(start) || !/^\d{16}$/.test(item.name.slice(start.length))) continue;
    const journal = path.join(dir, item.name);
    if (item.isSymbolicLink() && runsAsRoot()) {
      throw refusal(journal, 'it is a symbolic link, which is refused when running as root');
    }
    found.push({ path: journal, base: Number(item.name.slice(start.length)) });
  }
  return found.toSorted((a, b) => a.base - b.base);
}

/**
 * Reads a journal and makes all checks that need only its text. The caller may cut off a bad end of the last
 * journal; in any other one it is refused.
 */
export async function loadJournal(
  file: { path: string; base: number },
  registry: string,
  isLast: boolean,
): Promise<LoadedJournal> {
  const content = withoutSpare(await readBytes(file.path));
  const text = readJournal(content);
  if (text === undefined) throw refusal(file.path, 'its first line is damaged, at byte offset 0');
  if (text.header.registry !== registry) {
    throw refusal(
      file.path,
      `it belongs to another registry ('${text.header.registry}', this one is '${registry}'); move it away if it is not wanted`,
    );
  }
  if (text.header.base !== file.base) {
    throw refusal(file.path, `its first line says that it begins after revision ${text.header.base}`);
  }
  if (text.tail === 'damaged' || (text.tail === 'torn' && !isLast)) {
    throw refusal(file.path, `it is damaged at byte offset ${text.end}: what was acknowledged may be lost`);
  }
  return { ...file, content, bytes: content.length, text, ...changesOf(text, file) };
}

function changesOf(
  text: JournalText,
  file: { path: string; base: number },
): { changes: Change[]; sizes: number[]; end: number } {
  const changes: Change[] = [];
  const sizes: number[] = [];
  let end = file.base;
  text.frames.forEach(({ offset, records }, i) => {
    const frameEnd = text.frames[i + 1]?.offset ?? text.end;
    const size = Math.ceil((frameEnd - offset) / Math.max(1, records.length));
    for (const record of records) {
      const change = decodeRecord(record);
      if (change?.revision !== end + 1) {
        throw refusal(file.path, `the record at byte offset ${offset} is not that of revision ${end + 1}`);
      }
      changes.push(change);
      sizes.push(size);
      end++;
    }
  });
  return { changes, sizes, end };
}

async function readBytes(journal: string): Promise<Buffer> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(journal, constants.O_RDONLY | noFollow);
    return await readAll(handle);
  } catch (error) {
    throw refusal(journal, messageOf(error), error);
  } finally {
    await handle?.close();
  }
}

/** It reads piece by piece, since one call reads at most 2 GiB. */
async function readAll(handle: FileHandle): Promise<Buffer> {
  const { size } = await handle.stat();
  const bytes = Buffer.allocUnsafe(size);
  let done = 0;
  while (done < size) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(size - done, READ_BYTES), done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

export function refusal(journal: string, why: string, cause?: unknown): BrokerError {
  return new BrokerError(
    'invalid_config',
    `Cannot use the journal ${journal}: ${why}; nothing was touched`,
    cause === undefined ? {} : { cause },
  );
}
