const PREFIX = 'name=';

/** What `known_brokers` keeps the identity under of the broker that a name has found; it can be no address. */
export function nameKey(name: string): string {
  return `${PREFIX}${encodeURIComponent(name)}`;
}

export function isNameKey(key: string): boolean {
  return key.startsWith(PREFIX);
}

/** The name of such a key; where the key was spoilt, what is left of it. */
export function nameOf(key: string): string {
  const encoded = key.slice(PREFIX.length);
  try {
    return decodeURIComponent(encoded);
  } catch {
    // Percent signs that begin no byte: the file was edited.
    return encoded;
  }
}
