import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { backupsFor, findHome, type Home } from '../../config/paths.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { cannotRead } from '../../protocol/system-errors.ts';
import type { Arguments } from '../command.ts';

export interface BrokerFile {
  readonly file: string;
  readonly backups: string;
  /** The tree of this machine or user. It holds the file unless `--config` names another. */
  readonly home: Home;
  /** Whether `--config` names it. */
  readonly isGiven: boolean;
}

/** The configuration file that a command works on (`--config`, else that of this machine or user), and its backups' folder. */
export function brokerFile(args: Arguments): BrokerFile {
  const home = findHome();
  const given = args.text('config');
  const file = given === undefined ? home.configFile : path.resolve(given);
  return { file, backups: backupsFor(file), home, isGiven: given !== undefined };
}

/**
 * For a command that makes a missing file.
 * @throws BrokerError as {@link checkReadable} for a file of `--config` that cannot be read; `usage` for a folder that does not
 * exist: a misspelt path would begin an empty registry unnoticed.
 */
export function newBrokerFile(args: Arguments): BrokerFile {
  const place = brokerFile(args);
  const dir = path.dirname(place.file);
  if (!place.isGiven) return place;
  const option = args.label('config');
  if (lookAt(place.file, option)) checkReadable(place.file, option);
  if (lookAt(dir, option) === 'folder') return place;
  throw new BrokerError(
    'usage',
    `There is no folder ${dir} for the configuration ${place.file}; correct ${option}, or make the folder`,
  );
}

/**
 * For a command that works on an existing file. The command itself reports that the default place has none,
 * because that is no mistake of the command line.
 * @throws BrokerError as {@link checkReadable}.
 */
export function presentBrokerFile(args: Arguments): BrokerFile {
  const place = brokerFile(args);
  if (place.isGiven) checkReadable(place.file, args.label('config'));
  return place;
}

/**
 * Every option that names a file refuses one that cannot be read.
 * @throws BrokerError as {@link cannotRead}.
 */
export function checkReadable(file: string, option: string): void {
  try {
    accessSync(file, constants.R_OK);
    if (kindOf(file) === 'folder') throw Object.assign(new Error('EISDIR'), { code: 'EISDIR' });
  } catch (error) {
    throw cannotRead(option, file, error);
  }
}

/** As {@link kindOf}, with the errors of {@link checkReadable}. */
function lookAt(file: string, option: string): 'folder' | 'other' | undefined {
  try {
    return kindOf(file);
  } catch (error) {
    throw cannotRead(option, file, error);
  }
}

/** Undefined for a file that does not exist. */
function kindOf(file: string): 'folder' | 'other' | undefined {
  try {
    const stat = statSync(file, { throwIfNoEntry: false });
    return stat && (stat.isDirectory() ? 'folder' : 'other');
  } catch (error) {
    // A part of the path is a file.
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw error;
  }
}
