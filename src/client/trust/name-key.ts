const PREFIX = 'name=';

/**
 * The key in `known_brokers` for the identity of the broker that a name has found. It is never an address.
 */
export function nameKey(name: string): string {
  return `${PREFIX}${encodeURIComponent(name)}`;
}

export function isNameKey(key: string): boolean {
  return key.startsWith(PREFIX);
}

/**
 * Such a key as a person may have written it, in its one spelling: `NAME=prod/db` is `name=prod%2Fdb`.
 * `undefined` for any other word, and for a percent sign without two hex digits of UTF-8 after it.
 */
export function readNameKey(word: string): string | undefined {
  if (word.slice(0, PREFIX.length).toLowerCase() !== PREFIX) return undefined;
  try {
    return nameKey(decodeURIComponent(word.slice(PREFIX.length)));
  } catch {
    return undefined;
  }
}

/** The name in such a key. For a damaged key, its text without the prefix. */
export function nameOf(key: string): string {
  const encoded = key.slice(PREFIX.length);
  try {
    return decodeURIComponent(encoded);
  } catch {
    // A percent sign without hex digits: the file was edited.
    return encoded;
  }
}
