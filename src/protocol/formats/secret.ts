import { BrokerError } from '../errors.ts';

/**
 * The one rule by which a key is read, from a file, a variable, an option or standard input: UTF-8, as {@link trimSecret}
 * leaves it.
 * @param source names it in messages, which never repeat the key.
 * @throws BrokerError `usage` when it is empty, UTF-16, or not UTF-8: a key that cannot be read is not the same as none.
 */
export function readSecret(given: string | Uint8Array, source: string): string {
  const key = trimSecret(typeof given === 'string' ? given : decode(given, source));
  if (key !== '') return key;
  throw new BrokerError('usage', `${source} is empty: expected a key, or leave it out where none is needed`);
}

/**
 * A key without what is no part of it: a byte order mark before it, and where it ends with a line end, this and the white
 * space around the line. Without a line end it is taken as it is: an access key may begin or end with spaces.
 */
export function trimSecret(text: string): string {
  const unmarked = text.replace(/^\uFEFF/, '');
  return /[\r\n]$/.test(unmarked) ? unmarked.trim() : unmarked;
}

function decode(bytes: Uint8Array, source: string): string {
  const [first, second] = bytes;
  const marked = (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
  // Without its mark it still shows: every other byte of ASCII in it is zero.
  if (marked || bytes.includes(0)) {
    throw new BrokerError('usage', `${source} is UTF-16: expected UTF-8; save the key as UTF-8 or ASCII`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new BrokerError('usage', `${source} is not valid UTF-8: expected a key in UTF-8 or ASCII`, {
      cause: error,
    });
  }
}
