import { type JsonObject, parseObject } from '../../protocol/formats/data.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import type { Arguments } from '../command.ts';
import { columnsOf, type Result } from './output.ts';

/**
 * What `--default` gives in place of what is not found: the text as it is, for a column too. A JSON object stands in for the
 * data of the entry, so that `--cols` chooses from it. Nothing where the option is not given.
 * @throws BrokerError `usage`, before anything is asked, where the default lacks a column that `--cols` names.
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
      `The text of --default stands in for one column, and --cols names ${cols.length}; give --default a JSON object with all of them`,
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
