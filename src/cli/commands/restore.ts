import path from 'node:path';
import { restoreBackup } from '../../store/file/restore.ts';
import { brokerFile } from '../broker-file.ts';
import { shellWord } from '../../protocol/shell-word.ts';
import type { Run } from '../command.ts';
import { writeError, writeOut } from '../terminal.ts';

export const run: Run = async (args) => {
  const { file, backups } = brokerFile(args);
  const from = path.resolve(args.required('from'));
  const { taken, entries, revision, keptIn, backup, problem } = await restoreBackup({
    file,
    from,
    backupDir: backups,
  });
  writeOut(`restored ${file}\n`);
  if (keptIn !== undefined) writeOut(`kept ${keptIn}\n`);
  if (backup !== undefined) writeOut(`backup ${backup}\n`);
  writeError(`${entries} entries as of ${taken}; the registry goes on at revision ${revision}\n`);
  if (backup !== undefined)
    writeError(`To go back: bpbroker restore --config ${shellWord(file)} --from ${shellWord(backup)}\n`);
  if (problem !== undefined) writeError(`No backup of what was replaced, which cannot be read: ${problem}\n`);
};
