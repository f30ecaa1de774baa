import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, release, totalmem } from 'node:os';
import path from 'node:path';
import { root } from '../../build/root.ts';
import type { Row } from './row.ts';
import type { Record } from './record.ts';

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');

/** Writes what was run in this clone, whole or row by row, to `docs/reliability.md`. */
export function writeReport(record: Record, rows: readonly Row[], notBuiltYet: readonly string[]): void {
  const gib = (totalmem() / 1024 ** 3).toFixed(0);
  const machine = `${cpus().length} cores, ${gib} GiB of memory, Linux ${release().split('-')[0]}, Node ${process.versions.node}`;
  const lines = rows.flatMap((row) => {
    const ran = record[row.name];
    if (ran === undefined) return [];
    const { figures, verdict, seconds, seed, date, commit, isBeside } = ran;
    const told = verdict === 'broken' ? '**broken**' : verdict;
    const minutes = `${Math.floor(seconds / 60)}:${String(Math.round(seconds % 60)).padStart(2, '0')}`;
    const command = `\`npm run prove -- ${row.name} --seed=${seed}\``;
    const when = `${date}${commit === '' ? '' : `, ${commit}`}${isBeside ? ', beside the others' : ''}`;
    return [`| ${[row.shows, row.what, figures, told, minutes, command, when].map(cell).join(' | ')} |`];
  });
  const missing = rows.filter(({ name }) => record[name] === undefined).map(({ name }) => `\`${name}\``);
  const page = path.join(root, 'docs', 'reliability.md');
  writeFileSync(
    page,
    `# Reliability

What the broker promises about the registry, tried in its long form by \`npm run prove\`, which writes this page. Each row also
runs alone, by its name; a short form of each is part of \`npm test\`. It needs Linux, root, and the Debian packages
that \`.ci/run\` installs.

Run on ${machine}. Each row is as it ran last, at the commit that is named.

| row | what was done | figures | | minutes | command | run |
| --- | --- | --- | --- | --- | --- | --- |
${lines.join('\n')}

${missing.length > 0 ? `Not run: ${missing.join(', ')}.\n` : ''}
Not built yet: ${notBuiltYet.join('; ')}.
`,
  );
  // As the check of the format wants it.
  const formatter = path.join(root, 'node_modules', '.bin', 'oxfmt');
  execFileSync(formatter, ['-c', path.join(root, 'build', 'oxfmt.json'), page], { cwd: root });
}
