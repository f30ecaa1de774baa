import { readSync } from 'node:fs';
import { isObject } from '../../protocol/formats/data.ts';

/** The bytes of the end of a trail that are read: a line has less than 128 KiB. */
const TAIL_BYTES = 256 * 1024;

/** The end of a trail that exists. */
export interface Tail {
  /** The number of its last line. */
  readonly seq: number;
  /** The bytes up to the end of its last line. The rest is an incomplete line, as a power cut leaves it. */
  readonly bytes: number;
}

/**
 * The end of the trail in an open file of `size` bytes; undefined where the file does not end like a trail.
 */
export function readTail(fd: number, size: number): Tail | undefined {
  const from = Math.max(0, size - TAIL_BYTES);
  const bytes = readAt(fd, from, size - from);
  const last = bytes.lastIndexOf(LINE_END);
  // A whole line that is damaged stays, and has a number too.
  let damaged = 0;
  for (let end = last; end >= 0; damaged++) {
    const begin = end === 0 ? -1 : bytes.lastIndexOf(LINE_END, end - 1);
    const seq = seqOf(bytes.toString('utf8', begin + 1, end));
    if (seq !== undefined) return { seq: seq + damaged, bytes: from + last + 1 };
    end = begin;
  }
  // The file may hold only an incomplete first line.
  const isPart = from === 0 && last < 0 && bytes.toString('utf8', 0, BEGINNING.length) === BEGINNING;
  return isPart ? { seq: 0, bytes: 0 } : undefined;
}

/** The number of the first line of a trail; undefined where there is none. */
export function readFirstSeq(fd: number, size: number): number | undefined {
  const bytes = readAt(fd, 0, Math.min(size, TAIL_BYTES));
  const end = bytes.indexOf(LINE_END);
  return end < 0 ? undefined : seqOf(bytes.toString('utf8', 0, end));
}

const LINE_END = 0x0a;
const BEGINNING = '{"seq":';

function seqOf(line: string): number | undefined {
  if (!line.startsWith(BEGINNING)) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    const seq = isObject(value) ? value['seq'] : undefined;
    return Number.isSafeInteger(seq) ? (seq as number) : undefined;
  } catch {
    // An incomplete line.
    return undefined;
  }
}

function readAt(fd: number, from: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let done = 0;
  while (done < length) {
    const read = readSync(fd, bytes, done, length - done, from + done);
    if (read === 0) break;
    done += read;
  }
  return bytes.subarray(0, done);
}
