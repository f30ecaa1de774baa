import path from 'node:path';
import { loadConfiguration } from '../../broker/opening/configuration.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { restoreBackup } from '../../store/file/backup/restore.ts';
import { checkReadable, newBrokerFile } from '../options/broker-file.ts';
import { shellWord } from '../../protocol/formats/shell-word.ts';
import type { Run } from '../command.ts';
import { entryCount } from '../output/count.ts';
import { writeError, writeOut } from '../terminal/terminal.ts';

export const run: Run = async (args) => {
  const { file, backups } = newBrokerFile(args);
  const from = path.resolve(args.required('from'));
  checkReadable(from, args.label('from'));
  if (await isInEtcd(file)) {
    throw new BrokerError(
      'invalid_config',
      `The registry of ${file} is in etcd, and a backup cannot be restored there. Give another file with --config to serve the backup from that file`,
    );
  }
  const { taken, entries, revision, keptIn, backup, problem } = await restoreBackup({
    file,
    from,
    backupDir: backups,
  });
  writeOut(`restored ${file}\n`);
  if (keptIn !== undefined) writeOut(`kept ${keptIn}\n`);
  if (backup !== undefined) writeOut(`backup ${backup}\n`);
  writeError(`${entryCount(entries)} as of ${taken}; the registry goes on at revision ${revision}\n`);
  if (backup !== undefined)
    writeError(`To go back: bpbroker restore --config ${shellWord(file)} --from ${shellWord(backup)}\n`);
  if (problem !== undefined)
    writeError(`The replaced registry was not backed up, because it cannot be read: ${problem}\n`);
};

/**
 * Whether a configuration has its registry in etcd. An unreadable file counts as "no": the backup will
 * replace it.
 */
async function isInEtcd(file: string): Promise<boolean> {
  try {
    const { document, effective, globalProblem } = await loadConfiguration(file, undefined);
    if (globalProblem !== undefined) writeError(`${globalProblem}\n`);
    return document !== undefined && effective._store.driver === 'etcd';
  } catch (error) {
    if (error instanceof BrokerError && error.code === 'invalid_config') return false;
    throw error;
  }
}
