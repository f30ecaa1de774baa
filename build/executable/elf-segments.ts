import { chmodSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';

/**
 * The size of a huge page on x64 and arm64, and of a large folio of the page cache that can be mapped as one,
 * in bytes.
 */
export const HUGE_PAGE: number = 2 * 1024 * 1024;
const PAGE = 4096;
const MAGIC = Buffer.from('7f454c460201', 'hex');
const LOAD = 1;
const EXECUTABLE = 2;
const HEADER = 64;
const PROGRAM_HEADER = 56;
const SECTION_HEADER = 64;

/** A part of the file that is mapped into memory. */
export interface Segment {
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

/**
 * The same ELF executable, with each segment at the same offset within a huge page in the file as in memory.
 * Only then can Linux map a huge page at once, if 2 MiB of the file are in the page cache in one piece. Zeros
 * fill the space between the segments.
 * @throws Error for anything but a 64-bit little-endian executable at fixed addresses.
 * @throws Error when its segments are in another order, or its headers would not stay at its beginning.
 */
export function alignSegments(file: Buffer): Buffer {
  const segments = segmentsOf(file);
  const moves: { readonly from: number; readonly by: number }[] = [];
  let by = 0;
  for (const { offset, address } of segments) {
    by += modulo(address - offset - by, HUGE_PAGE);
    // A page at the border of two segments is mapped for both, so it comes twice.
    moves.push({ from: offset - (offset % PAGE), by });
  }
  const moved = (offset: number): number => offset + (moves.findLast(({ from }) => offset >= from)?.by ?? 0);
  // Every byte is written: memory that was never touched makes the kernel split a write into small pieces.
  const out = Buffer.allocUnsafe(moved(file.length)).fill(0);
  moves.forEach(({ from, by: distance }, i) => {
    const next = segments[i + 1];
    file.copy(out, from + distance, from, next ? next.offset : file.length);
  });
  const sections = moved(read(file, 40));
  write(out, 40, sections);
  for (let i = 0; i < file.readUInt16LE(56); i++) {
    const at = read(file, 32) + i * PROGRAM_HEADER;
    write(out, at + 8, moved(read(file, at + 8)));
  }
  for (let i = 0; i < file.readUInt16LE(60); i++) {
    const at = sections + i * SECTION_HEADER + 24;
    write(out, at, moved(read(out, at)));
  }
  return out;
}

/**
 * Aligns the segments of an executable's file, and writes it again in one piece. A file that is written in
 * small pieces is in the page cache in small pieces. Throws as {@link alignSegments} does.
 */
export function alignFile(file: string): void {
  const { mode } = statSync(file);
  const staged = `${file}.aligned`;
  writeFileSync(staged, alignSegments(readFileSync(file)));
  chmodSync(staged, mode);
  renameSync(staged, file);
}

/**
 * The loaded segments of an ELF executable, in the order of the file. Throws as {@link alignSegments} does.
 */
export function segmentsOf(file: Buffer): Segment[] {
  const isKnown = file.length > HEADER && file.subarray(0, 6).equals(MAGIC);
  if (!isKnown || file.readUInt16LE(16) !== EXECUTABLE)
    throw new Error(
      'This is no 64-bit little-endian ELF executable at fixed addresses; see build/executable/elf-segments.ts',
    );
  const segments: Segment[] = [];
  for (let i = 0; i < file.readUInt16LE(56); i++) {
    const at = read(file, 32) + i * PROGRAM_HEADER;
    if (file.readUInt32LE(at) !== LOAD) continue;
    segments.push({ offset: read(file, at + 8), address: read(file, at + 16), bytes: read(file, at + 32) });
  }
  const isInOrder = segments.every(({ offset }, i) => {
    const before = segments[i - 1];
    return before ? offset >= before.offset + before.bytes : offset === 0;
  });
  if (!isInOrder)
    throw new Error(
      'The segments of this executable are not in the order of the file; see build/executable/elf-segments.ts',
    );
  const [first] = segments;
  const headers = read(file, 32) + file.readUInt16LE(56) * PROGRAM_HEADER;
  // The system looks for the headers at the beginning of the file, where the first segment must stay with
  // them.
  if (!first || first.address % HUGE_PAGE !== 0 || headers > first.bytes)
    throw new Error(
      'The first segment of this executable is not that of its headers, at the start of a huge page; see build/executable/elf-segments.ts',
    );
  if (!segments.every(({ offset, address }) => (address - offset) % PAGE === 0))
    throw new Error(
      'The segments of this executable are not mapped by pages; see build/executable/elf-segments.ts',
    );
  return segments;
}

function read(file: Buffer, at: number): number {
  return Number(file.readBigUInt64LE(at));
}

function write(file: Buffer, at: number, value: number): void {
  file.writeBigUInt64LE(BigInt(value), at);
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
