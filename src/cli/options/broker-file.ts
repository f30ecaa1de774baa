import { existsSync } from 'node:fs';
import path from 'node:path';
import { backupsFor, findHome, type Home } from '../../config/paths.ts';
import { BrokerError } from '../../protocol/errors.ts';
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
 * @throws BrokerError `invalid_config` when `--config` names a folder that does not exist: a misspelt path
 * would begin an empty registry unnoticed.
 */
export function newBrokerFile(args: Arguments): BrokerFile {
  const place = brokerFile(args);
  const dir = path.dirname(place.file);
  if (!place.isGiven || existsSync(dir)) return place;
  throw new BrokerError(
    'invalid_config',
    `There is no folder ${dir} for the configuration ${place.file}; correct --config (or BPBROKER_CONFIG), or make the folder`,
  );
}
