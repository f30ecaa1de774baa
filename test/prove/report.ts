import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import path from 'node:path';
import { root } from '../../build/root.ts';
import type { Row } from './row.ts';
import type { Record, Recorded } from './history/record.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** Writes what was run in this clone, whole or row by row, to `docs/reliability.md`; what was run elsewhere stays as it is there. */
export function writeReport(record: Record, rows: readonly Row[], notBuiltYet: readonly string[]): void {
  const page = path.join(root, 'docs', 'reliability.md');
  const present = existsSync(page) ? readFileSync(page, 'utf8') : '';
  writeFileSync(page, reportOf(record, rows, notBuiltYet, present));
  // As the check of the format wants it.
  const formatter = path.join(root, 'node_modules', '.bin', 'oxfmt');
  execFileSync(formatter, ['-c', path.join(root, 'build', 'oxfmt.json'), page], { cwd: root });
}

/** The page, of the record and of what the present page has of rows that are not in it. */
export function reportOf(
  record: Record,
  rows: readonly Row[],
  notBuiltYet: readonly string[],
  present: string,
): string {
  const gib = (totalmem() / 1024 ** 3).toFixed(0);
  const machine = `${cpus().length} cores, ${gib} GiB of memory, Linux ${release().split('-')[0]}, Node ${process.versions.node}`;
  const kept = present.split('\n').filter((line) => line.startsWith('|'));
  const lines = new Map<string, string>();
  for (const row of rows) {
    const line = record[row.name]
      ? lineOf(row, record[row.name] as Recorded)
      : kept.find((one) => one.includes(`\`npm run prove -- ${row.name} --seed=`));
    if (line !== undefined) lines.set(row.name, line);
  }
  const missing = rows.filter(({ name }) => !lines.has(name)).map(({ name }) => `\`${name}\``);
  return `# Reliability

\`npm run prove\` tests in a long form what the broker promises about the registry, and writes this page. Each row also
runs alone, by its name; a short form of each is part of \`npm test\`. It needs Linux, root, and the Debian packages
that \`.ci/run\` installs.

Run on ${machine}. Each row is as it ran last, at the commit that is named.

| row | what was done | figures | | minutes | command | run |
| --- | --- | --- | --- | --- | --- | --- |
${[...lines.values()].join('\n')}

${missing.length > 0 ? `Not run: ${missing.join(', ')}.\n` : ''}
Not built yet: ${notBuiltYet.join('; ')}.
`;
}

function lineOf(row: Row, ran: Recorded): string {
  const { figures, verdict, seconds, seed, date, commit, isBeside } = ran;
  const told = verdict === 'broken' ? '**broken**' : verdict;
  const minutes = `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, '0')}`;
  const command = `\`npm run prove -- ${row.name} --seed=${seed}\``;
  const when = `${date}${commit === '' ? '' : `, ${commit}`}${isBeside ? ', beside the others' : ''}`;
  return `| ${[row.shows, row.what, figures, told, minutes, command, when].map(cell).join(' | ')} |`;
}
