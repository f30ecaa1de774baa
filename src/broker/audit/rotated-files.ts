import { closeSync, lstatSync, openSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { readTail } from './tail.ts';

const SEQ_DIGITS = 15;

/** The path of a rotated trail: it has the number of its first line, so that names sort as the lines do. */
export function rotatedPath(file: string, firstSeq: number): string {
  const { dir, name, ext } = path.parse(file);
  return path.join(dir, `${name}-${String(firstSeq).padStart(SEQ_DIGITS, '0')}${ext}`);
}

/** The rotated files, oldest first. Anything else with such a name, such as a link, does not count. */
function asideFiles(file: string): string[] {
  const { dir, name, ext } = path.parse(file);
  return readdirSync(dir)
    .filter((entry) => {
      const digits = entry.slice(name.length + 1, entry.length - ext.length);
      return /^\d{15}$/.test(digits) && entry === `${name}-${digits}${ext}`;
    })
    .map((entry) => path.join(dir, entry))
    .filter((at) => lstatSync(at, { throwIfNoEntry: false })?.isFile())
    .toSorted();
}

/** Removes the oldest rotated files, and keeps `keep` of them. */
export function prune(file: string, keep: number): void {
  const all = asideFiles(file);
  for (const old of all.slice(0, Math.max(0, all.length - keep))) rmSync(old, { force: true });
}

/** The number of the last line in the rotated files; 0 where none can be read. */
export function lastRotatedSeq(file: string): number {
  const last = asideFiles(file).at(-1);
  if (last === undefined) return 0;
  const fd = openSync(last, 'r');
  try {
    const size = lstatSync(last).size;
    return readTail(fd, size)?.seq ?? 0;
  } finally {
    closeSync(fd);
  }
}
