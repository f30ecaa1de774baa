import { closeSync, lstatSync, openSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { readTail } from './tail.ts';

const SEQ_DIGITS = 15;

/** What a trail is called once it is put aside: by the number of its first line, so that names sort as the lines do. */
export function asidePath(file: string, firstSeq: number): string {
  const { dir, name, ext } = path.parse(file);
  return path.join(dir, `${name}-${String(firstSeq).padStart(SEQ_DIGITS, '0')}${ext}`);
}

/** Those that were put aside, oldest first. Whatever else has such a name, a link say, is none. */
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

/** Removes the oldest of those that were put aside but for `keep`. */
export function prune(file: string, keep: number): void {
  const all = asideFiles(file);
  for (const old of all.slice(0, Math.max(0, all.length - keep))) rmSync(old, { force: true });
}

/** Number of the last line that was put aside; 0 where there is none that can be read. */
export function lastAsideSeq(file: string): number {
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
