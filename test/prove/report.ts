import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import path from 'node:path';
import { root } from '../../build/root.ts';
import type { Row } from './row.ts';
import type { Ran } from './run-row.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** Writes the figures of a whole run, or of as much of it as has been run, to `docs/reliability.md`. */
export function writeReport(ran: readonly Ran[], rows: readonly Row[], notBuiltYet: readonly string[]): void {
  const date = new Date().toISOString().slice(0, 10);
  const gib = (totalmem() / 1024 ** 3).toFixed(0);
  const machine = `${cpus().length} cores, ${gib} GiB of memory, Linux ${release().split('-')[0]}, Node ${process.versions.node}`;
  const lines = ran.map(({ row, result, seconds, seed }) => {
    const figures = 'skipped' in result ? `not run: ${result.skipped}` : result.figures;
    const verdict = 'skipped' in result ? '' : result.broken.length === 0 ? 'holds' : '**broken**';
    const minutes = `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, '0')}`;
    const command = `\`npm run prove -- ${row.name} --seed=${seed}\``;
    return `| ${[row.shows, row.what, figures, verdict, minutes, command].map(cell).join(' | ')} |`;
  });
  const beside = ran.filter(({ row }) => row.runsBeside).map(({ row }) => `\`${row.name}\``);
  const missing = rows.filter((row) => !ran.some((one) => one.row === row)).map(({ name }) => `\`${name}\``);
  const page = path.join(root, 'docs', 'reliability.md');
  writeFileSync(
    page,
    `# Reliability

What the broker promises about the registry, tried in its long form by \`npm run prove\`, which writes this page. Each row also
runs alone, by its name; a short form of each is part of \`npm test\`. It needs Linux, root, and the Debian packages
that \`.ci/run\` installs.

Run on ${date}, on ${machine}.${beside.length > 0 ? ` ${beside.join(', ')} ran beside the others.` : ''}

| row | what was done | figures | | minutes | command |
| --- | --- | --- | --- | --- | --- |
${lines.join('\n')}

${missing.length > 0 ? `Not in this run, which was cut short: ${missing.join(', ')}.\n` : ''}
Not built yet: ${notBuiltYet.join('; ')}.
`,
  );
  // As the check of the format wants it.
  const formatter = path.join(root, 'node_modules', '.bin', 'oxfmt');
  execFileSync(formatter, ['-c', path.join(root, 'build', 'oxfmt.json'), page], { cwd: root });
}
