import { crc32 } from 'node:zlib';
import { isObject } from '../../../protocol/formats/data.ts';
import { parseJson } from '../../../protocol/formats/json.ts';
import { isRevision } from './records.ts';

/**
 * The header of a journal. In its text, one line is one frame: `<crc32, 8 hex digits> <bytes of JSON>
 * <JSON>\n`. The first line is the header; each line after it holds the records of one group commit as a JSON
 * array. A frame's checksum starts from the header's, so a frame of another journal does not match. The
 * records' revisions, which have no gaps, keep the order.
 */
export interface JournalHeader {
  /** The registry that the journal belongs to. */
  readonly registry: string;
  /** The registry's revision before the journal's first record. */
  readonly base: number;
}

export interface JournalText {
  readonly header: JournalHeader;
  /** The bytes of the header line. */
  readonly headerEnd: number;
  /** Each frame's parsed records, with the offset of the frame. */
  readonly frames: readonly { readonly offset: number; readonly records: readonly unknown[] }[];
  /** The end of the last good frame: the file's length, unless `tail` says more. */
  readonly end: number;
  /**
   * The text after `end`, where it is not a good frame. `torn`: an unacknowledged write that a crash has cut
   * off. `damaged`: more than a crash explains.
   */
  readonly tail?: 'torn' | 'damaged';
}

/** The most NULs after the last frame: room for later ones. */
export const SPARE_BYTES: number = 256 * 1024;

/** The smallest piece that a disk writes whole, in bytes. */
const SECTOR_BYTES = 512;

const FORMAT = 'bpbroker journal 1';
const CRC_DIGITS = 8;
const SPACE = 0x20;
const NEWLINE = 0x0a;
/** The checksum, a length of at most ten digits, and the spaces after them. */
const LEAD_BYTES = 20;
const lead = /^([0-9a-f]{8}) ([1-9]\d{0,9}) /;

export function encodeHeader({ registry, base }: JournalHeader): { text: string; seed: number } {
  const json = JSON.stringify({ format: FORMAT, registry, base });
  const bytes = frameOf(json, Buffer.byteLength(json), 0);
  return { text: bytes.toString(), seed: checksumAt(bytes, 0) };
}

/** The frame of `records`, whose texts have `recordBytes` bytes in all. */
export function encodeFrame(records: readonly string[], recordBytes: number, seed: number): Buffer {
  const separators = Math.max(0, records.length - 1);
  return frameOf(`[${records.join(',')}]`, recordBytes + separators + 2, seed);
}

/** A journal's bytes without the spare room at the end. */
export function withoutSpare(file: Buffer): Buffer {
  const least = Math.max(0, file.length - SPARE_BYTES);
  let end = file.length;
  while (end > least && file[end - 1] === 0) end--;
  return file.subarray(0, end);
}

/**
 * Reads the good part of a journal, passed without its spare room. Undefined when even the header is damaged.
 */
export function readJournal(bytes: Buffer): JournalText | undefined {
  const first = frameAt(bytes, 0, 0);
  const header = first && headerOf(first.json);
  if (first === undefined || header === undefined) return undefined;
  const seed = checksumAt(bytes, 0);
  const frames: { offset: number; records: readonly unknown[] }[] = [];
  let offset = first.end;
  while (offset < bytes.length) {
    const frame = frameAt(bytes, offset, seed);
    if (frame === undefined || !Array.isArray(frame.json)) {
      const torn = isTorn(bytes, offset) && !goodFrameAfter(bytes, offset, seed);
      return { header, headerEnd: first.end, frames, end: offset, tail: torn ? 'torn' : 'damaged' };
    }
    frames.push({ offset, records: frame.json as readonly unknown[] });
    offset = frame.end;
  }
  return { header, headerEnd: first.end, frames, end: offset };
}

function frameOf(json: string, jsonBytes: number, seed: number): Buffer {
  const bytes = Buffer.from(`00000000 ${jsonBytes} ${json}\n`);
  const crc = crc32(bytes.subarray(CRC_DIGITS + 1, -1), seed);
  bytes.write(crc.toString(16).padStart(CRC_DIGITS, '0'), 0, 'latin1');
  return bytes;
}

function frameAt(bytes: Buffer, offset: number, seed: number): { json: unknown; end: number } | undefined {
  const match = lead.exec(bytes.toString('latin1', offset, offset + LEAD_BYTES));
  if (match === null) return undefined;
  const start = offset + match[0].length;
  const end = start + Number(match[2]);
  if (end >= bytes.length || bytes[end] !== NEWLINE) return undefined;
  if (crc32(bytes.subarray(offset + CRC_DIGITS + 1, end), seed) !== checksumAt(bytes, offset)) {
    return undefined;
  }
  try {
    return { json: parseJson(bytes.toString('utf8', start, end)), end: end + 1 };
  } catch {
    return undefined;
  }
}

/**
 * Whether a crash explains the incomplete frame at `offset`. A crash leaves a part of the frame, or NULs in
 * the sectors that were never written. The text of a frame holds no NUL, and a line end only as its last
 * byte. A frame of full length with other wrong bytes was durable once, and has been acknowledged.
 */
function isTorn(bytes: Buffer, offset: number): boolean {
  if (hasUnwrittenSector(bytes, offset)) return true;
  const match = lead.exec(bytes.toString('latin1', offset, offset + LEAD_BYTES));
  const length = match === null ? undefined : match[0].length + Number(match[2]) + 1;
  return bytes.at(-1) !== NEWLINE && length !== bytes.length - offset;
}

/** Whether NULs fill a sector, or the frame's part of one. */
function hasUnwrittenSector(bytes: Buffer, offset: number): boolean {
  for (let start = bytes.indexOf(0, offset); start !== -1;) {
    let end = start + 1;
    while (end < bytes.length && bytes[end] === 0) end++;
    const sector = Math.ceil(start / SECTOR_BYTES) * SECTOR_BYTES;
    const from = start === offset ? start : sector;
    const to = Math.min(bytes.length, Math.floor(from / SECTOR_BYTES + 1) * SECTOR_BYTES);
    if (from < end && to <= end) return true;
    start = bytes.indexOf(0, end);
  }
  return false;
}

function checksumAt(bytes: Buffer, offset: number): number {
  return Number.parseInt(bytes.toString('latin1', offset, offset + CRC_DIGITS), 16);
}

/**
 * Whether a good frame begins at any byte after `offset`: the damage may be in a length or a line's end.
 * Frames are found by ` [`, which begins the JSON of each. A line cannot end within a JSON string, so no data
 * of a user can pass for a frame.
 */
function goodFrameAfter(bytes: Buffer, offset: number, seed: number): boolean {
  for (let at = bytes.indexOf(' [', offset); at !== -1; at = bytes.indexOf(' [', at + 1)) {
    let start = at;
    while (at - start < 10 && isDigit(bytes[start - 1])) start--;
    // The digits of the length may belong to a longer number; a frame has a space before them.
    if (bytes[start - 1] !== SPACE) continue;
    start -= CRC_DIGITS + 1;
    if (start > offset && frameAt(bytes, start, seed) !== undefined) return true;
  }
  return false;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function headerOf(json: unknown): JournalHeader | undefined {
  if (!isObject(json) || json['format'] !== FORMAT) return undefined;
  const { registry, base } = json;
  return typeof registry === 'string' && isRevision(base) ? { registry, base } : undefined;
}
