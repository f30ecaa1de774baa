/** `npm run prove -- [ROW…] [--short] [--list] [--seed=N]`: the proof, row by row; see docs/reliability.md. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ensureExecutables } from '../../build/executable.ts';
import { ensurePackage } from '../../build/npm.ts';
import { seeded } from '../support/http-fuzz.ts';
import type { Row, RowResult } from './row.ts';
import { writeReport } from './report.ts';
import { notBuiltYet, rows } from './rows.ts';

export interface Ran {
  readonly row: Row;
  readonly seconds: number;
  readonly seed: number;
  readonly result: RowResult | { readonly skipped: string };
}

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** Runs a row within its bound; what it throws counts as broken. */
export async function runRow(
  row: Row,
  short: boolean,
  seed: number,
  log: (line: string) => void = say,
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

function print({ row, seed, seconds, result }: Ran): void {
  if ('skipped' in result) return say(`${row.name}: skipped: ${result.skipped}`);
  const verdict = result.broken.length === 0 ? 'holds' : 'BROKEN';
  say(
    `${row.name} (row ${row.shows}): ${verdict}: ${result.figures} (${seconds.toFixed(0)} s, seed ${seed})`,
  );
  for (const text of result.broken.slice(0, 20)) say(`  ${text}`);
  if (result.broken.length > 20) say(`  and ${result.broken.length - 20} more`);
}

async function main(args: readonly string[]): Promise<number> {
  const short = args.includes('--short');
  const seedGiven = args.find((arg) => arg.startsWith('--seed='))?.slice(7);
  const seed = seedGiven === undefined ? Date.now() % 1_000_000 : Number(seedGiven);
  const names = args.filter((arg) => !arg.startsWith('--'));
  if (args.includes('--list')) {
    for (const row of rows) say(`${row.name.padEnd(14)} row ${row.shows.padEnd(12)} ${row.what}`);
    for (const line of notBuiltYet) say(`not built yet: ${line}`);
    return 0;
  }
  const unknown = names.find((name) => !rows.some((row) => row.name === name));
  if (unknown !== undefined || Number.isNaN(seed)) {
    say(
      unknown === undefined ? `${seedGiven} is no seed` : `There is no row '${unknown}'; --list shows them`,
    );
    return 2;
  }
  await ensurePackage();
  await ensureExecutables();
  const chosen = rows.filter((row) => names.length === 0 || names.includes(row.name));
  const ran: Ran[] = [];
  // A row that mostly waits runs beside the others, where all of them run.
  const beside = names.length === 0 && !short ? chosen.filter((row) => row.runsBeside) : [];
  const besides = beside.map(
    async (row) => await runRow(row, short, seed, (line) => say(`[${row.name}] ${line}`)),
  );
  for (const row of chosen) {
    if (beside.includes(row)) continue;
    say(`${row.name}: ${row.what}`);
    const done = await runRow(row, short, seed);
    ran.push(done);
    print(done);
  }
  for (const done of await Promise.all(besides)) {
    ran.push(done);
    print(done);
  }
  if (names.length === 0 && !short) writeReport(ran, notBuiltYet);
  const failed = ran.filter(({ result }) => 'broken' in result && result.broken.length > 0);
  say(
    `${ran.length} rows, ${failed.length} broken, ${ran.filter(({ result }) => 'skipped' in result).length} skipped`,
  );
  return failed.length > 0 ? 1 : 0;
}

if (import.meta.main) {
  const code = await main(process.argv.slice(2));
  process.exit(code);
}
