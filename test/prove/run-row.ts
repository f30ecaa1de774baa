import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { seeded } from '../support/network/http-fuzz.ts';
import type { Row, RowResult } from './row.ts';

export interface Ran {
  readonly row: Row;
  readonly seconds: number;
  readonly seed: number;
  readonly result: RowResult | { readonly skipped: string };
}

/** Runs a row within its bound; what it throws counts as broken. */
export async function runRow(
  row: Row,
  short: boolean,
  seed: number,
  log: (line: string) => void,
): Promise<Ran> {
  const began = performance.now();
  const seconds = (): number => (performance.now() - began) / 1000;
  const skipped = row.skip();
  if (skipped !== false) return { row, seed, seconds: 0, result: { skipped } };
  const scratch = mkdtempSync(path.join(tmpdir(), `bpbroker-prove-${row.name}-`));
  const bound = short ? row.bound.short : row.bound.long;
  let timer: NodeJS.Timeout | undefined;
  try {
    const late = new Promise<RowResult>((resolve) => {
      const broken = [`it had not ended after ${bound} s`];
      timer = setTimeout(() => resolve({ figures: 'not ended', broken }), bound * 1000);
    });
    const setup = { short, seed, random: seeded(seed), scratch, say: (line: string) => log(`  ${line}`) };
    const running = row.run(setup).catch((error: unknown) => ({
      figures: 'failed',
      broken: [error instanceof Error ? (error.stack ?? error.message) : String(error)],
    }));
    return { row, seed, result: await Promise.race([running, late]), seconds: seconds() };
  } finally {
    clearTimeout(timer);
    try {
      rmSync(scratch, { recursive: true, force: true, maxRetries: 5 });
    } catch (error) {
      log(`  ${scratch} stays: ${String(error)}`);
    }
  }
}
