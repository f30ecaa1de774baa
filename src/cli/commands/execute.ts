import type { Execution } from '../../client/execute.ts';
import { isObject, type Json, type JsonObject } from '../../protocol/formats/data.ts';
import { parseDuration } from '../../protocol/formats/duration.ts';
import { parseJson } from '../../protocol/formats/json.ts';
import { spacedJson } from '../../protocol/registry/entry.ts';
import type { Run } from '../command.ts';
import { openDataStream } from '../output/data-output.ts';
import { readOptionalData } from '../options/data.ts';
import { print, type Result } from '../output/output.ts';
import { withSession } from '../session/session.ts';

export const run: Run = async (args) => {
  const method = args.required('method');
  const data = readOptionalData(args);
  const timeout = args.text('timeout');
  const timeoutMs = timeout === undefined ? undefined : parseDuration(timeout, '--timeout');
  const shaped = args.text('cols') !== undefined || (args.text('format') ?? 'text') !== 'text';
  await withSession(args, {}, async ({ client, notices }) => {
    const started = client.execute(method, data === undefined ? {} : { data }, { timeoutMs });
    const execution = await notices.during(method, started);
    if (shaped) await print(resultOf(await execution.text()), args);
    else await pass(execution);
  });
};

/** Prints output as it arrives, to the byte. Text gets a final newline if it has none. */
async function pass({ contentType, isStream, output }: Execution): Promise<void> {
  const isText = /^(?:text\/|application\/json\b)/i.test(contentType);
  const out = openDataStream();
  const held: Uint8Array[] = [];
  let last: number | undefined;
  for await (const chunk of output) {
    if (isStream) await out.write(chunk);
    else held.push(chunk);
    last = chunk.at(-1) ?? last;
  }
  const newline = isText && last !== undefined && last !== 0x0a ? '\n' : '';
  // Complete output is written in one piece, because several commands may write to one file.
  await out.write(Buffer.concat([...held, Buffer.from(newline)]));
}

/**
 * Output as columns: the members of an object, or of each object of a list. Anything else is one column,
 * `data`.
 */
function resultOf(text: string): Result {
  let value: Json = text;
  try {
    value = parseJson(text) as Json;
  } catch {
    // It is not JSON, so it is text.
  }
  const items: readonly Json[] = Array.isArray(value) ? (value as readonly Json[]) : [value];
  const rows = items.map((item): JsonObject => (isObject(item) ? item : { data: item }));
  return { text: [typeof value === 'string' ? value : spacedJson(value)], json: value, rows };
}
