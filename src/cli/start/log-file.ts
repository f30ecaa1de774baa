import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import path from 'node:path';
import { runsAsRoot } from '../../config/atomic-write.ts';
import { makeTreeFolder } from '../../config/folder.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
import type { Arguments } from '../command.ts';
import type { BrokerFile } from '../options/broker-file.ts';

/** The log of a detached broker, as seen by the command that starts it. */
export interface LogFile {
  readonly path: string;
  /** For the broker's standard output and standard error. */
  readonly fd: number;
  /** The lines written since it was opened, of the last 64 KiB. */
  newLines(): string[];
}

const MAX_READ = 64 * 1024;

/**
 * Opens the file to which a detached broker appends its log: that of `--log-file`, whose folder must exist,
 * or the one beside its configuration, `bpbroker.log` for `bpbroker.json`. Only its owner can read a new one.
 * @throws BrokerError `usage` for an unusable `--log-file`, `invalid_config` for the default.
 */
export async function openLog(args: Arguments, { file }: Pick<BrokerFile, 'file'>): Promise<LogFile> {
  const given = args.text('log-file');
  const log = path.resolve(given ?? besides(file));
  const fail = (reason: string, cause?: unknown): BrokerError =>
    given === undefined
      ? new BrokerError(
          'invalid_config',
          `Cannot open the log ${log}: ${reason}; or name another with --log-file`,
          { cause },
        )
      : new BrokerError('usage', `Cannot open --log-file ${given}: ${reason}`, { cause });
  // Root never follows a symbolic link here. Windows has no such flag.
  const noFollow = runsAsRoot() ? (constants.O_NOFOLLOW ?? 0) : 0;
  let fd: number;
  try {
    if (given === undefined && isFolder(file))
      throw new BrokerError('invalid_config', `${file} is a folder: give the path of a file`);
    // The mode that the broker itself would use.
    if (given === undefined) await makeTreeFolder(path.dirname(log), 0o700);
    // Opening a pipe without a reader would block.
    if (isOther(log)) throw fail('it is not a file');
    fd = openSync(log, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT | noFollow, 0o600);
  } catch (error) {
    if (error instanceof BrokerError) throw error;
    const remedies = {
      ENOENT: `make its folder ${path.dirname(log)}`,
      ELOOP: 'give the path of the file itself',
    };
    throw fail(reasonOf(error, remedies), error);
  }
  const start = fstatSync(fd).size;
  return { path: log, fd, newLines: () => linesFrom(fd, start) };
}

function besides(file: string): string {
  const { dir, name, ext } = path.parse(file);
  return path.join(dir, ext === '.log' ? `${name}.log.log` : `${name}.log`);
}

function isOther(file: string): boolean {
  const kind = statSync(file, { throwIfNoEntry: false });
  return kind !== undefined && !kind.isFile() && !kind.isCharacterDevice() && !kind.isDirectory();
}

function isFolder(file: string): boolean {
  return statSync(file, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function linesFrom(fd: number, start: number): string[] {
  const { size } = fstatSync(fd);
  const from = Math.max(start, size - MAX_READ);
  const bytes = Buffer.alloc(Math.max(size - from, 0));
  const read = bytes.length === 0 ? 0 : readSync(fd, bytes, 0, bytes.length, from);
  return bytes
    .toString('utf8', 0, read)
    .split(/\r?\n/)
    .filter((line) => line !== '');
}

/** Closes the log here; the broker has it open by then. */
export function closeLog({ fd }: LogFile): void {
  closeSync(fd);
}
