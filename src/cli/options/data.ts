import { readFileSync, readSync } from 'node:fs';
import { parseObject } from '../../protocol/formats/data.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { cannotRead } from '../../protocol/system-errors.ts';
import { readAll } from '../../runtime/stdio/read-all.ts';
import type { Arguments } from '../command.ts';

/** The advice when there is no data. */
export const GIVE_DATA = 'Give the data: --data DATA or --data-file FILE (- is standard input)';

/**
 * The data of a command line: `--data`, taken literally, or `--data-file`, where `-` is standard input. A
 * file's last newline, which editors and `echo` add, is not part of it.
 * @throws BrokerError `usage` when neither or both are given, or the file cannot be read or is not UTF-8.
 */
export function readData(args: Arguments): string {
  const data = readOptionalData(args);
  if (data !== undefined) return data;
  throw new BrokerError('usage', GIVE_DATA);
}

/** As {@link readData}; `undefined` when neither is given. */
export function readOptionalData(args: Arguments): string | undefined {
  const data = args.text('data');
  const file = args.text('data-file');
  if (data !== undefined && file !== undefined)
    throw new BrokerError('usage', 'Give --data or --data-file, not both');
  if (file === undefined) return data;
  return readText(file, '--data-file').replace(/\r?\n$/, '');
}

/**
 * For `--json`: checks that the data is a JSON object; else it would be stored as a text.
 * @throws BrokerError `usage`, with line and column when it is not JSON at all.
 */
export async function checkIsObject(data: string | undefined, args: Arguments): Promise<void> {
  if (data === undefined) throw new BrokerError('usage', `Option --json is about the data. ${GIVE_DATA}`);
  const file = args.text('data-file');
  const source = file === undefined ? '--data' : `--data-file ${file}`;
  const { parseJsonText } = await import('../../config/json-file.ts');
  try {
    await parseJsonText(data, source);
    parseObject(data);
  } catch (error) {
    throw new BrokerError('usage', `${messageOf(error)} (--json accepts only a JSON object)`, {
      cause: error,
    });
  }
}

/**
 * The text of a file, or of standard input for `-`.
 * @throws BrokerError as {@link cannotRead}, or `usage` for bytes that are not UTF-8.
 */
export function readText(file: string, option: string): string {
  let bytes: Uint8Array;
  try {
    bytes = file === '-' ? readStandardInput() : readFileSync(file);
  } catch (error) {
    throw cannotRead(option, file, error);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new BrokerError('usage', `Cannot read ${option} ${file}: it is not valid UTF-8`, { cause: error });
  }
}

/**
 * All of standard input. `readFileSync` would fail where another program has made it non-blocking.
 * @throws the system's error.
 */
export function readStandardInput(): Uint8Array {
  return readAll((into) => readSync(0, into, 0, into.byteLength, null));
}
