import { type JsonObject, parseObject } from '../../protocol/formats/data.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Arguments } from '../command.ts';
import { columnsOf, type Result } from './output.ts';

/**
 * The output of `--default` for something that is not found: the text as it is, also for a column. A JSON
 * object replaces the data of the entry, so `--cols` chooses from it. `undefined` without the option.
 * @throws BrokerError `usage`, before any request, when the default lacks a column that `--cols` names.
 */
export function readDefault(args: Arguments): Result | undefined {
  const text = args.text('default');
  if (text === undefined) return undefined;
  const cols = columnsOf(args);
  const object = readObject(text);
  if (object) {
    const missing = cols?.find((column) => !Object.hasOwn(object, column));
    if (missing !== undefined)
      throw new BrokerError(
        'usage',
        `The object of --default has no column '${missing}', which --cols names`,
      );
    return { text: [text], json: object, rows: [object] };
  }
  if (cols && cols.length > 1)
    throw new BrokerError(
      'usage',
      `The text of --default replaces one column, and --cols names ${cols.length}; give --default a JSON object with all of them`,
    );
  return { text: [text], json: text, rows: [{ [cols?.[0] ?? 'data']: text }] };
}

function readObject(text: string): JsonObject | undefined {
  try {
    return parseObject(text);
  } catch (error) {
    throw new BrokerError('usage', `Invalid --default: ${messageOf(error)}`, { cause: error });
  }
}
