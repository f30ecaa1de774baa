import { crc32 } from 'node:zlib';

/** Checks the end of a backup's file: a checksum of every byte before it. */
export interface SealCheck {
  /** Takes the file's bytes, in order. */
  add(bytes: Uint8Array): void;
  /** Whether it ends with the checksum of the bytes before. */
  isIntact(): boolean;
}

const SEAL_BYTES = 64;
const seal = /, "checksum": "([0-9a-f]{8})"\}\n\}\n$/;

export function createSealCheck(): SealCheck {
  let sum = 0;
  /** The last bytes so far, which may hold a part of the seal. */
  let tail = Buffer.alloc(0);
  return {
    add(bytes) {
      const end = Math.max(0, bytes.length - SEAL_BYTES);
      if (end > 0) {
        sum = crc32(bytes.subarray(0, end), crc32(tail, sum));
        tail = Buffer.from(bytes.subarray(end));
        return;
      }
      const joined = Buffer.concat([tail, bytes]);
      const over = Math.max(0, joined.length - SEAL_BYTES);
      sum = crc32(joined.subarray(0, over), sum);
      tail = joined.subarray(over);
    },
    isIntact() {
      const end = seal.exec(tail.toString('latin1'));
      if (end === null) return false;
      return crc32(tail.subarray(0, end.index), sum) === Number.parseInt(end[1] ?? '', 16);
    },
  };
}

/** The end of a sealed file whose text before it has this checksum. */
export function sealOf(sum: number): string {
  return `, "checksum": "${sum.toString(16).padStart(8, '0')}"}\n}\n`;
}
