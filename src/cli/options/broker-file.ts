import { accessSync, constants, statSync } from 'node:fs';
import path from 'node:path';
import { backupsFor, findHome, type Home } from '../../config/paths.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
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
 * @throws BrokerError `usage` when `--config` names a file that cannot be read, or a folder that does not exist: a misspelt
 * path would begin an empty registry unnoticed.
 */
export function newBrokerFile(args: Arguments): BrokerFile {
  const place = brokerFile(args);
  const dir = path.dirname(place.file);
  if (!place.isGiven) return place;
  if (kindOf(place.file) !== undefined) checkReadable(place.file, args.label('config'));
  if (kindOf(dir) === 'folder') return place;
  throw new BrokerError(
    'usage',
    `There is no folder ${dir} for the configuration ${place.file}; correct ${args.label('config')}, or make the folder`,
  );
}

/**
 * For a command that works on what there is. That there is nothing in the default place is for the command to say: it is no
 * mistake of the command line.
 * @throws BrokerError `usage` where `--config` names a file that cannot be read.
 */
export function presentBrokerFile(args: Arguments): BrokerFile {
  const place = brokerFile(args);
  if (place.isGiven) checkReadable(place.file, args.label('config'));
  return place;
}

/** @throws BrokerError `usage` naming `option`, for a file that cannot be read: every option that names one is refused so. */
export function checkReadable(file: string, option: string): void {
  try {
    accessSync(file, constants.R_OK);
    if (kindOf(file) === 'folder') throw Object.assign(new Error('EISDIR'), { code: 'EISDIR' });
  } catch (error) {
    throw new BrokerError('usage', `Cannot read ${option} ${file}: ${reasonOf(error)}`, { cause: error });
  }
}

/** Nothing for what is not there, or cannot be looked at. */
function kindOf(file: string): 'folder' | 'other' | undefined {
  try {
    return statSync(file).isDirectory() ? 'folder' : 'other';
  } catch {
    return undefined;
  }
}
