import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { root } from '../../../build/root.ts';
import type { Ran } from '../run-row.ts';

/** What is kept of a row that was run in its long form. */
export interface Recorded {
  readonly figures: string;
  readonly verdict: 'holds' | 'broken' | 'not run';
  readonly seconds: number;
  readonly seed: number;
  /** `2026-01-31`. */
  readonly date: string;
  /** The short name of the commit that was tried; `''` outside of a clone. */
  readonly commit: string;
  /** Whether other rows ran at the same time. */
  readonly isBeside: boolean;
}

/** By the names of the rows. */
export type Record = Readonly<{ [row: string]: Recorded }>;

const file = path.join(root, 'dist', 'prove', 'record.json');

/** What was run in this clone so far; a row that ran again counts as it ran last. */
export function readRecord(): Record {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Record) : {};
}

export function keep({ row, result, seconds, seed }: Ran, isBeside: boolean): void {
  const recorded: Recorded = {
    figures: 'skipped' in result ? result.skipped : result.figures,
    verdict: 'skipped' in result ? 'not run' : result.broken.length === 0 ? 'holds' : 'broken',
    seconds,
    seed,
    date: new Date().toISOString().slice(0, 10),
    commit: commitOfNow(),
    isBeside,
  };
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, `${JSON.stringify({ ...readRecord(), [row.name]: recorded }, undefined, 2)}\n`);
}

function commitOfNow(): string {
  if (!existsSync(path.join(root, '.git'))) return '';
  return execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
}
