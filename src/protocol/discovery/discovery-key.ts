/** The least strength of a discovery key, in bits. One captured packet is enough to try keys offline. */
const MIN_BITS = 128;
/** The fewest different characters. A random key of 32 hex digits has fewer about once in twenty million. */
const MIN_DISTINCT = 8;

const HINT = "make one with 'bpbroker keygen'";

/**
 * Says why `key` cannot be a discovery key; undefined where it can. The text never repeats the key. A key is
 * printable ASCII without spaces, and more than a few characters again and again. It must be able to hold 128
 * bits if its characters were random ones of their kinds: 32 hex digits, 22 of base64. Whether they were
 * random cannot be seen.
 */
export function discoveryKeyProblem(key: string): string | undefined {
  if (!/^[!-~]+$/.test(key)) {
    return `a discovery key is printable ASCII without spaces; ${HINT}`;
  }
  if (/^sha256:/i.test(key)) {
    return 'a discovery key cannot be hashed, since both sides compute with it; give the key itself';
  }
  const bits = Math.floor(key.length * Math.log2(alphabetOf(key)));
  if (bits < MIN_BITS) {
    return `a discovery key needs at least ${MIN_BITS} bits, such as 32 random hex digits; these ${key.length} characters hold ${bits} at most; ${HINT}`;
  }
  if (new Set(key).size < MIN_DISTINCT) {
    return `a discovery key must be random, and this one repeats a few characters; ${HINT}`;
  }
  return undefined;
}

/**
 * The number of characters that a key could have been picked from, by the kinds in it; at most base64's 64.
 */
function alphabetOf(key: string): number {
  if (/^\d+$/.test(key)) return 10;
  if (/^[\da-f]+$/.test(key) || /^[\dA-F]+$/.test(key)) return 16;
  if (/[a-z]/.test(key) && /[A-Z]/.test(key)) return 64;
  if (/[^\dA-Za-z]/.test(key)) return 64;
  return /\d/.test(key) ? 36 : 26;
}
