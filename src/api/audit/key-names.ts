import { createHash, createHmac, randomBytes } from 'node:crypto';
import { discoveryKeyProblem } from '../../protocol/discovery/discovery-key.ts';

/** The number of hexadecimal digits in a name. */
const DIGITS = 8;

/**
 * Names keys for the audit trail without revealing them. The name of a key that cannot be guessed is the
 * start of its SHA-256, which `keygen --key-file` prints. So an operator can find it among the keys that were
 * handed out.
 *
 * For any other key, the start of a hash would let an attacker try passwords offline. Its name is a mark that
 * only this process can make; the mark is the same for the same key until the process ends. A wrong key is
 * named in the same way, since it may be a right one elsewhere.
 */
export function createKeyNames(): (key: string) => string {
  // Made at its first use: some platforms forbid random numbers while the app is created.
  let secret: Uint8Array | undefined;
  return (key) => {
    if (discoveryKeyProblem(key) === undefined)
      return `sha256:${createHash('sha256').update(key).digest('hex').slice(0, DIGITS)}`;
    secret ??= randomBytes(32);
    return `mark:${createHmac('sha256', secret).update(key).digest('hex').slice(0, DIGITS)}`;
  };
}
