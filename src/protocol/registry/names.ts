import { BrokerError } from '../errors.ts';

/** The longest name of an entry, in bytes of UTF-8 (contract, section 3). */
export const MAX_NAME_BYTES = 512;

// C0 and C1 controls and DEL: a name is printed to terminals and logs, and is a line in a datagram.
// oxlint-disable-next-line no-control-regex
const control = /[\u0000-\u001f\u007f-\u009f]/;
// oxlint-disable-next-line no-control-regex
const asciiOnly = /^[\u0020-\u007e]*$/;

/** Says why `name` cannot be the name of an entry; undefined when it can. */
export function nameProblem(name: string): string | undefined {
  if (name === '') return 'a name must not be empty';
  if (byteLength(name) > MAX_NAME_BYTES) {
    return `a name takes at most ${MAX_NAME_BYTES} bytes, this one has ${byteLength(name)}`;
  }
  if (control.test(name)) return `name ${JSON.stringify(name)} contains a control character`;
  if (name.startsWith('_')) return `name '${name}' starts with '_', which is reserved`;
  if (!name.isWellFormed()) return `name ${JSON.stringify(name)} is not valid Unicode`;
  return undefined;
}

/**
 * @throws BrokerError `invalid_request` unless `name` may name an entry: 1 to 512 bytes, no controls, no
 * leading `_`.
 */
export function checkName(name: string): void {
  const problem = nameProblem(name);
  if (problem !== undefined) throw new BrokerError('invalid_request', `Invalid name: ${problem}`);
}

/**
 * Orders names by their UTF-8 bytes, the order in which every store driver lists them. JavaScript's `<`
 * compares UTF-16 units, which puts surrogate pairs (U+10000 and above) before U+E000–U+FFFF. Bytes put them
 * after.
 */
export function compareNames(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    if (x >= 0xd800 && y >= 0xd800) return rank(x) - rank(y);
    return x - y;
  }
  return a.length - b.length;
}

function rank(unit: number): number {
  return unit <= 0xdfff ? unit + 0x10000 : unit;
}

/** The length of a text in bytes of UTF-8. */
export function byteLength(text: string): number {
  return asciiOnly.test(text) ? text.length : Buffer.byteLength(text);
}
