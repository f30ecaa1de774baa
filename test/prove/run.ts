/** `npm run prove -- [ROW…] [--short] [--list] [--seed=N]`: the proof, row by row; see docs/reliability.md. */
import { ensureExecutables } from '../../build/executable.ts';
import { ensurePackage } from '../../build/npm.ts';
import { keep, readRecord } from './history/record.ts';
import { writeReport } from './report.ts';
import { type Ran, runRow } from './run-row.ts';
import { notBuiltYet, rows } from './rows.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

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
  const isWhole = names.length === 0 && !short;
  const beside = isWhole ? chosen.filter((row) => row.runsBeside) : [];
  const besides = beside.map(
    async (row) => await runRow(row, short, seed, (line) => say(`[${row.name}] ${line}`)),
  );
  // As it goes, so that a run which is cut short leaves what it has shown.
  const tell = (done: Ran, isBeside: boolean): void => {
    if (short) return;
    keep(done, isBeside);
    writeReport(readRecord(), rows, notBuiltYet);
  };
  for (const row of chosen) {
    if (beside.includes(row)) continue;
    say(`${row.name}: ${row.what}`);
    const done = await runRow(row, short, seed, say);
    ran.push(done);
    print(done);
    tell(done, false);
  }
  for (const done of await Promise.all(besides)) {
    ran.push(done);
    print(done);
    tell(done, true);
  }
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
