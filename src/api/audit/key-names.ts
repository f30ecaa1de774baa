import { createHash, createHmac, randomBytes } from 'node:crypto';
import { discoveryKeyProblem } from '../../protocol/discovery/discovery-key.ts';

/** Hexadecimal digits that tell keys apart. */
const DIGITS = 8;

/**
 * Names keys for the audit trail without giving them away. A key that nobody can guess has the start of its SHA-256, which
 * `keygen --key-file` prints: it can be found again among those that were handed out. Of any other, the start would be enough to try
 * passwords against, at leisure; it has a mark that only this process can make, the same for the same key until it ends. A wrong key is
 * named in the same way: it may be a right one elsewhere.
 */
export function createKeyNames(): (key: string) => string {
  // Made when it is needed first: not every platform lets an app be made with a random number in it.
  let secret: Uint8Array | undefined;
  return (key) => {
    if (discoveryKeyProblem(key) === undefined)
      return `sha256:${createHash('sha256').update(key).digest('hex').slice(0, DIGITS)}`;
    secret ??= randomBytes(32);
    return `mark:${createHmac('sha256', secret).update(key).digest('hex').slice(0, DIGITS)}`;
  };
}
