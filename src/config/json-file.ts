import type { ParseError } from 'jsonc-parser';
import { readFile } from 'node:fs/promises';
import { isObject, type JsonObject, kindOf } from '../protocol/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import { reasonOf } from '../protocol/system-errors.ts';

/**
 * The JSON object in a file, or nothing where there is no such file.
 * @throws BrokerError `invalid_config`, with line and column where the text is malformed.
 */
export async function readJsonFile(file: string): Promise<JsonObject | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new BrokerError('invalid_config', `Cannot read ${file}: ${reasonOf(error)}`, { cause: error });
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new BrokerError('invalid_config', `${file} is not valid UTF-8; it was left as it is`, {
      cause: error,
    });
  }
  return await parseJsonText(text, file);
}

/** The JSON object that `text` is. Throws `invalid_config` naming `source`, line and column where it is not. */
export async function parseJsonText(text: string, source: string): Promise<JsonObject> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const { line, column, problem } = await locateJsonError(text);
    throw new BrokerError('invalid_config', `${source}:${line}:${column}: malformed JSON: ${problem}`, {
      cause: error,
    });
  }
  if (!isObject(value)) {
    throw new BrokerError('invalid_config', `${source}: expected a JSON object, got ${kindOf(value)}`);
  }
  return value;
}

interface JsonProblem {
  readonly line: number;
  readonly column: number;
  readonly problem: string;
}

/** Where and why `text` is not JSON. The runtimes word and locate this differently, Bun not at all. */
async function locateJsonError(text: string): Promise<JsonProblem> {
  const { parse, printParseErrorCode } = await import('jsonc-parser');
  const errors: ParseError[] = [];
  parse(text, errors, { disallowComments: true, allowTrailingComma: false });
  const first = errors[0];
  const offset = first?.offset ?? text.length;
  const before = text.slice(0, offset).split('\n');
  const words = (first ? printParseErrorCode(first.error) : 'InvalidSymbol').replaceAll(
    /(?<=[a-z])(?=[A-Z])/g,
    ' ',
  );
  const found =
    // One character: what stands there may be a key.
    offset >= text.length ? 'the text ends' : `found ${JSON.stringify(text.charAt(offset))}`;
  return {
    line: before.length,
    column: (before.at(-1)?.length ?? 0) + 1,
    problem: `${words.toLowerCase()}, ${found}`,
  };
}
