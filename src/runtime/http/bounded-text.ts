import { BrokerError } from '../../protocol/errors.ts';

/** The longest answer that is read as one text, in bytes: twice the longest of a broker. */
export const MAX_ANSWER_BYTES: number = 16 * 1024 * 1024;

/**
 * Reads an answer as text, up to a limit, since its sender may never stop.
 * @throws BrokerError `internal` when it is longer than `maxBytes`; the rest is not read.
 */
export async function boundedText(
  parts: AsyncIterable<Uint8Array>,
  maxBytes: number = MAX_ANSWER_BYTES,
): Promise<string> {
  const all: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of parts) {
    bytes += part.length;
    if (bytes > maxBytes) throw tooLong(maxBytes);
    all.push(part);
  }
  return Buffer.concat(all).toString('utf8');
}

/** The error for an answer that is longer than the limit. */
export function tooLong(maxBytes: number): BrokerError {
  return new BrokerError(
    'internal',
    `The answer is longer than ${maxBytes / 1024 / 1024} MiB; the rest was not read`,
  );
}
