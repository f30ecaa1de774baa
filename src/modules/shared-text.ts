/** Shorter texts cost less to make again than to share. */
const SHORT = 4096;

/**
 * Returns the text that `textOf` makes of an object. A long text is returned as bytes, which all holders at
 * the same time share: the text that a thousand readers wait for is in memory once. Nothing is kept for later
 * readers. The object must never change.
 */
export function sharedText<T extends object>(
  textOf: (item: T) => string,
): (item: T) => string | Uint8Array<ArrayBuffer> {
  const made = new WeakMap<T, WeakRef<Uint8Array<ArrayBuffer>>>();
  const encoder = new TextEncoder();
  return (item) => {
    const held = made.get(item)?.deref();
    if (held) return held;
    const text = textOf(item);
    if (text.length <= SHORT) return text;
    const bytes = encoder.encode(text);
    made.set(item, new WeakRef(bytes));
    return bytes;
  };
}
