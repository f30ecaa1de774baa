import { readFileSync } from 'node:fs';
import { BrokerError } from '../protocol/errors.ts';
import { reasonOf } from '../protocol/system-errors.ts';
import type { Arguments } from './command.ts';

/**
 * The data that a command line gives: `--data`, taken literally, or `--data-file`, where `-` is standard input. A file's
 * last newline, which editors and `echo` put there, is not part of it.
 * @throws BrokerError `usage` when neither or both are given, or the file cannot be read or is not UTF-8.
 */
export function readData(args: Arguments): string {
  const data = readOptionalData(args);
  if (data !== undefined) return data;
  throw new BrokerError('usage', 'Give the data: --data DATA or --data-file FILE (- is standard input)');
}

/** As {@link readData}; nothing when neither is given. */
export function readOptionalData(args: Arguments): string | undefined {
  const data = args.text('data');
  const file = args.text('data-file');
  if (data !== undefined && file !== undefined)
    throw new BrokerError('usage', 'Give --data or --data-file, not both');
  if (file === undefined) return data;
  return readText(file, '--data-file').replace(/\r?\n$/, '');
}

/** The text of a file, or of standard input for `-`. Throws `usage` naming `option`. */
export function readText(file: string, option: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file === '-' ? 0 : file));
  } catch (error) {
    const reason = error instanceof TypeError ? 'it is not valid UTF-8' : reasonOf(error);
    throw new BrokerError('usage', `Cannot read ${option} ${file}: ${reason}`, { cause: error });
  }
}
