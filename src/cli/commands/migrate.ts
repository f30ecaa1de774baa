import { constants } from 'node:os';
import { migrateRegistry } from '../../broker/migration/migrate.ts';
import type { Driver, Migrated, MigrationProgress } from '../../broker/migration/migration.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { shellWord } from '../../protocol/formats/shell-word.ts';
import { presentBrokerFile } from '../options/broker-file.ts';
import type { Run } from '../command.ts';
import { openProgress } from '../terminal/progress.ts';
import { writeError, writeOut } from '../terminal/terminal.ts';

export const run: Run = async (args) => {
  const { file, backups } = presentBrokerFile(args);
  const [from, to] = [args.required('from'), args.required('to')] as [Driver, Driver];
  if (from === to)
    throw new BrokerError(
      'usage',
      `Invalid --to '${to}': expected ${to === 'etcd' ? 'file' : 'etcd'}, since --from is ${from}`,
    );
  const endpoints = args.list('endpoint');
  const prefix = args.text('prefix');
  const interruption = onInterrupt();
  const progress = await openProgress();
  try {
    const migrated = await migrateRegistry({
      file,
      backupDir: backups,
      to,
      ...(endpoints.length > 0 && { endpoints }),
      ...(prefix !== undefined && { prefix }),
      onProgress: (step) => progress.show(lineOf(step)),
      signal: interruption.signal,
    });
    progress.end();
    report(migrated, to, file);
    return 0;
  } catch (error) {
    progress.end();
    const { code, signal } = interruption;
    const { cause } = error as { cause?: unknown };
    // After the switch of the configuration, a signal no longer ends the migration. A later failure has
    // another cause.
    if (code === undefined || ![error, cause].includes(signal.reason)) throw error;
    writeError(`Fatal error: ${(error as Error).message}\n`);
    return code;
  } finally {
    interruption.end();
  }
};

function report(
  { outcome, place, entries, revision, keptIn, backup, notes }: Migrated,
  to: Driver,
  file: string,
): void {
  const where = to === 'etcd' ? `etcd (${place})` : file;
  if (outcome === 'moved') {
    writeOut(`migrated ${file}\n`);
    if (keptIn !== undefined) writeOut(`kept ${keptIn}\n`);
    if (backup !== undefined) writeOut(`backup ${backup}\n`);
    writeError(`${compared(entries ?? 0)} in ${where}; the registry goes on at revision ${revision}\n`);
  } else {
    writeOut(`${outcome} ${file}\n`);
    writeError(`${said[outcome]} ${where}\n`);
  }
  for (const note of notes) writeError(`${note}\n`);
  if (outcome !== 'moved' && outcome !== 'completed') return;
  const config = shellWord(file);
  writeError(`Start the broker: bpbroker start --config ${config}\n`);
  const back = to === 'etcd' ? '--from etcd --to file' : '--from file --to etcd';
  writeError(`To go back, with what is written from now on: bpbroker migrate ${back} --config ${config}\n`);
}

function compared(entries: number): string {
  return entries === 1 ? '1 entry, compared, is' : `${entries} entries, each compared, are`;
}

const said = {
  completed: 'An earlier run moved the registry but did not open it; it is open now, in',
  reopened: 'The registry was not moved, and is open again, in',
  already: 'Nothing to do: the registry is already in',
};

function lineOf({ step, done, total }: MigrationProgress): string {
  const of = total === undefined ? '' : ` of ${total.toLocaleString('en')}`;
  const noun = (total ?? done) === 1 ? 'entry' : 'entries';
  const verb = { read: 'Read', copied: 'Copied', verified: 'Compared' }[step];
  return `${verb} ${done.toLocaleString('en')}${of} ${noun}`;
}

interface Interruption {
  readonly signal: AbortSignal;
  /** The exit code of the signal that came; `undefined` before one. */
  readonly code: number | undefined;
  end(): void;
}

/** The first SIGINT or SIGTERM ends the migration in an orderly way, and a second one ends the process. */
function onInterrupt(): Interruption {
  const ending = new AbortController();
  let code: number | undefined;
  const listeners = (['SIGINT', 'SIGTERM'] as const).map((name) => {
    const listener = (): void => {
      code = 128 + constants.signals[name];
      const message = `Interrupted by ${name}; the registry is where it was: run this again to move it`;
      ending.abort(new BrokerError('unavailable', message));
    };
    process.once(name, listener);
    return [name, listener] as const;
  });
  return {
    signal: ending.signal,
    get code() {
      return code;
    },
    end() {
      for (const [name, listener] of listeners) process.off(name, listener);
    },
  };
}
