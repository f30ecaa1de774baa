import { crc32 } from 'node:zlib';
import type { JsonObject } from '../../../protocol/formats/data.ts';

/**
 * A checksum over every entry's line, revision and lifetime, and the registry's own. It does not depend on
 * the order of the entries, since parsing a JSON object loses it (names such as `10` come first).
 */
export interface Checksum {
  add(line: string, revision: number, ttlMs: number | undefined): void;
  /** As `add`, for a line of which only CRC-32 and bytes are known. */
  addSummed(crc: number, bytes: number, revision: number, ttlMs: number | undefined): void;
  value(identity: { id: string; since: number }, revision: number): string;
}

export function createChecksum(): Checksum {
  let sum = 0;
  let count = 0;
  return {
    add(line, revision, ttlMs) {
      sum = (sum + crc32(`${leadOf(revision, ttlMs)}${line}`)) >>> 0;
      count++;
    },
    addSummed(crc, bytes, revision, ttlMs) {
      sum = (sum + joined(crc32(leadOf(revision, ttlMs)), crc, bytes)) >>> 0;
      count++;
    },
    value: ({ id, since }, revision) =>
      crc32(JSON.stringify([id, since, revision, count, sum]))
        .toString(16)
        .padStart(8, '0'),
  };
}

/** An entry's line in `services`. */
export function servicesLine(name: string, stamped: JsonObject): string {
  return `${JSON.stringify(name)}: ${JSON.stringify(stamped)}`;
}

function leadOf(revision: number, ttlMs: number | undefined): string {
  return `${revision} ${ttlMs ?? ''} `;
}

// CRC-32 is linear: the CRC of two joined texts follows from both CRCs and the second text's length. As in
// zlib's `crc32_combine`: polynomials modulo P, the coefficient of x^0 in the highest bit.
const POLYNOMIAL = 0xedb88320;
const ONE = 0x80000000;
const KEPT_POWERS = 8192;
/** x^(8n) by n; 0 where it has not been needed yet. */
const powers = new Uint32Array(KEPT_POWERS);

/**
 * The CRC-32 of a joined text. Its first part has the CRC `first`, its second part the CRC `second` and
 * `bytes` bytes.
 */
export function joined(first: number, second: number, bytes: number): number {
  let power = bytes < KEPT_POWERS ? powers[bytes] : 0;
  if (power === undefined || power === 0) {
    power = powerOf(bytes);
    if (bytes < KEPT_POWERS) powers[bytes] = power;
  }
  return (product(power, first) ^ second) >>> 0;
}

/** x^(8 · `bytes`) */
function powerOf(bytes: number): number {
  let result = ONE;
  // x^8, then its squares.
  let square = 0x00800000;
  for (let left = bytes; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = product(square, result);
    square = product(square, square);
  }
  return result;
}

function product(a: number, b: number): number {
  let result = 0;
  let shifted = b;
  for (let bits = a | 0; bits !== 0; bits <<= 1) {
    if (bits < 0) result ^= shifted;
    shifted = (shifted & 1) === 0 ? shifted >>> 1 : (shifted >>> 1) ^ POLYNOMIAL;
  }
  return result >>> 0;
}
