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
