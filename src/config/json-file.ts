import { type FileHandle, open } from 'node:fs/promises';
import { isObject, type JsonObject, kindOf } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import { parseJson } from '../protocol/formats/json.ts';
import { findJsonProblem, placeIn } from './json-error.ts';
import { type Malformed, readMembers, type Section } from './json-members.ts';
import { reasonOf } from '../protocol/system-errors.ts';
import { createTextSource, type TextSource } from './text-source.ts';

export interface JsonFileOptions {
  /** The objects whose members are delivered one by one; default: none. */
  readonly sections?: Readonly<Record<string, Section>>;
  /** Called with all bytes, in order; they are valid only during the call. */
  readonly onBytes?: (bytes: Uint8Array) => void;
  /** The size of the first reads in bytes; default: 256 KiB. */
  readonly chunkBytes?: number;
}

/** A document that is not an object is read whole, to say what it is. */
const MAX_OTHER_CHARS = 64 * 1024 * 1024;

/**
 * The JSON object in a file; undefined where no such file exists. The file is read piece by piece and never
 * held whole: parts that take much memory should be sections.
 * @throws BrokerError `invalid_config`, with line and column where the text is malformed.
 */
export async function readJsonFile(
  file: string,
  options: JsonFileOptions = {},
): Promise<JsonObject | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(file, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(file, error);
  }
  try {
    return await readJson(handle, file, options);
  } finally {
    await handle.close();
  }
}

/** As {@link readJsonFile}, for an open file. */
export async function readJson(
  handle: FileHandle,
  file: string,
  { sections = {}, onBytes, chunkBytes }: JsonFileOptions = {},
): Promise<JsonObject> {
  const source = createTextSource({
    async read(buffer) {
      try {
        return (await handle.read(buffer, 0, buffer.length, null)).bytesRead;
      } catch (error) {
        throw unreadable(file, error);
      }
    },
    onBytes,
    chunkBytes,
    notUtf8: (cause) =>
      new BrokerError('invalid_config', `${file} is not valid UTF-8; it was left as it is`, { cause }),
  });
  try {
    return await readObject(source, file, sections);
  } finally {
    await source.settle();
  }
}

async function readObject(
  source: TextSource,
  file: string,
  sections: Readonly<Record<string, Section>>,
): Promise<JsonObject> {
  const outcome = await readMembers(source, { sections });
  if ('text' in outcome) return parseJson(outcome.text) as JsonObject;
  if ('malformed' in outcome) throw await describe(file, source, outcome.malformed);
  while (!source.ended && source.text.length < MAX_OTHER_CHARS) await source.more(0);
  return await parseJsonText(source.text, file);
}

/**
 * Parses a text as a JSON object.
 * @throws BrokerError `invalid_config` naming `source`, line and column where it is not one.
 */
export async function parseJsonText(text: string, source: string): Promise<JsonObject> {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    const { offset, problem } = await findJsonProblem(text);
    throw malformedAt(source, placeIn(text, offset), problem, error);
  }
  if (!isObject(value)) {
    throw new BrokerError('invalid_config', `${source}: expected a JSON object, got ${kindOf(value)}`);
  }
  return value;
}

async function describe(file: string, source: TextSource, malformed: Malformed): Promise<BrokerError> {
  const { lead, tooLong } = malformed;
  let { at } = malformed;
  let found = await findJsonProblem(lead + source.text.slice(at));
  // The mistake may extend beyond the part that has been read.
  const goesOn = (): boolean => found.end >= lead.length + source.text.length - at;
  while (!source.ended && goesOn()) {
    if (tooLong) return tooLongAt(file, source, at);
    await source.more(at);
    at = 0;
    found = await findJsonProblem(lead + source.text);
  }
  const { offset, problem } = found;
  const place = source.placeOf(Math.max(at, at + offset - lead.length));
  return malformedAt(file, place, problem);
}

function tooLongAt(file: string, source: TextSource, at: number): BrokerError {
  const { line, column } = source.placeOf(at);
  return new BrokerError(
    'invalid_config',
    `${file}:${line}:${column}: a member begins here that takes more than ${source.text.length - at} characters; it was left as it is`,
  );
}

function malformedAt(
  source: string,
  { line, column }: { line: number; column: number },
  problem: string,
  cause?: unknown,
): BrokerError {
  return new BrokerError(
    'invalid_config',
    `${source}:${line}:${column}: malformed JSON: ${problem}`,
    cause === undefined ? {} : { cause },
  );
}

function unreadable(file: string, error: unknown): BrokerError {
  return new BrokerError('invalid_config', `Cannot read ${file}: ${reasonOf(error)}`, { cause: error });
}
