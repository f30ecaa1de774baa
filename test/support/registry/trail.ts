import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { AuditRecord } from '../../../src/api/audit/record.ts';

/** A line of an audit trail. */
export type TrailLine = AuditRecord & { readonly seq: number };

/** The files of an audit trail, those that were put aside first, in the order of their lines. */
export function trailFiles(file: string): string[] {
  const { dir, name, ext } = path.parse(file);
  const aside = readdirSync(dir).filter(
    (entry) => entry.startsWith(`${name}-`) && entry.endsWith(ext) && entry !== path.basename(file),
  );
  return [...aside.toSorted().map((entry) => path.join(dir, entry)), ...(existsSync(file) ? [file] : [])];
}

/** All lines of an audit trail. Throws for one that is no JSON, and for a last one without its end. */
export function readTrail(file: string): TrailLine[] {
  const text = trailFiles(file)
    .map((at) => readFileSync(at, 'utf8'))
    .join('');
  if (text !== '' && !text.endsWith('\n'))
    throw new Error(`the trail ends in a line in part: ${text.slice(-80)}`);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as TrailLine);
}

/** The numbers that are missing between the first line and the last, or that are not in order. */
export function gaps(lines: readonly TrailLine[]): string[] {
  return lines.flatMap(({ seq }, i) => {
    const before = lines[i - 1]?.seq;
    return before === undefined || seq === before + 1 ? [] : [`${before} → ${seq}`];
  });
}
