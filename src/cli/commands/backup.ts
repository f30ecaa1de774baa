import { backUpNow } from '../../broker/backups/backup-now.ts';
import type { Run } from '../command.ts';
import { presentBrokerFile } from '../options/broker-file.ts';
import { entryCount } from '../output/count.ts';
import { writeError, writeOut } from '../terminal/terminal.ts';

export const run: Run = async (args) => {
  const { file, backups } = presentBrokerFile(args);
  const { path, revision, entries, bytes, problem, globalProblem } = await backUpNow(file, backups);
  writeOut(`${path}\n`);
  if (globalProblem !== undefined) writeError(`${globalProblem}\n`);
  writeError(`${file} at revision ${revision}: ${entryCount(entries)}, ${bytes} bytes\n`);
  if (problem !== undefined) writeError(`older backups stay: ${problem}\n`);
};
