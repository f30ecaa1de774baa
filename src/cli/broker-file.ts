import path from 'node:path';
import { backupsFor, findHome } from '../config/paths.ts';
import type { Arguments } from './command.ts';

/** The configuration file that a command works on (`--config`, else that of this machine or user), and its backups' folder. */
export function brokerFile(args: Arguments): { file: string; backups: string } {
  const given = args.text('config');
  const file = given === undefined ? findHome().configFile : path.resolve(given);
  return { file, backups: backupsFor(file) };
}
