import { BrokerError } from '../errors.ts';

/**
 * Reads a key from a file, a variable, an option or standard input. All of them have this one rule: UTF-8,
 * then {@link trimSecret}.
 * @param source names it in messages, which never repeat the key.
 * @throws BrokerError `usage` when it is empty, UTF-16, or not UTF-8. An unreadable key must not count as no
 * key.
 */
export function readSecret(given: string | Uint8Array, source: string): string {
  const text = typeof given === 'string' ? given : decode(given, source);
  // The runtimes put this character in place of bytes of a variable or an option that are not UTF-8.
  if (text.includes('\uFFFD')) throw notUtf8(source);
  const key = trimSecret(text);
  if (key !== '') return key;
  throw new BrokerError('usage', `${source} is empty: give a key, or leave it out if none is needed`);
}

/**
 * Removes a byte order mark before a key. A key with a line end after it also loses that line end, and the
 * white space around the line. Without a line end the spaces stay: an access key may begin or end with some.
 */
export function trimSecret(text: string): string {
  const unmarked = text.replace(/^\uFEFF/, '');
  return /[\r\n]$/.test(unmarked) ? unmarked.trim() : unmarked;
}

function decode(bytes: Uint8Array, source: string): string {
  const [first, second] = bytes;
  const marked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  // UTF-16 without a mark shows too: every other byte of its ASCII is zero.
  if (marked || bytes.includes(0)) {
    throw new BrokerError('usage', `${source} is UTF-16: expected UTF-8; save the key as UTF-8 or ASCII`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw notUtf8(source, error);
  }
}

function notUtf8(source: string, cause?: unknown): BrokerError {
  return new BrokerError('usage', `${source} is not valid UTF-8: expected a key in UTF-8 or ASCII`, {
    cause,
  });
}
