import { createHash } from 'node:crypto';
import { trimSecret } from '../protocol/formats/secret.ts';

/**
 * Access keys as the configuration holds them: the key itself, or `sha256:` and the 64 hex digits of its SHA-256. One fast
 * hash is enough for a key that nobody can guess (`keygen` makes 256 random bits), and it costs a call nothing.
 */
const HASHED = 'sha256:';

/** The form in which a configuration may hold a key without giving it away. */
export function hashAccessKey(key: string): string {
  return `${HASHED}${digestOf(key).toString('hex')}`;
}

/** Why a configured key cannot be one, or nothing when it can. */
export function accessKeyProblem(configured: string): string | undefined {
  const key = trimSecret(configured);
  if (configured !== '' && key.trim() === '') return 'a key of white space alone guards nothing';
  if (!key.startsWith(HASHED) || /^sha256:[0-9a-f]{64}$/i.test(key)) return undefined;
  return "a key that begins with 'sha256:' is a hash: expected 64 hex digits behind it, as keygen --hash prints them";
}

/** The SHA-256 of the key that a configured one lets pass. A hash does not let its own text pass. */
export function acceptedDigest(configured: string): Buffer {
  const key = trimSecret(configured);
  return key.startsWith(HASHED) ? Buffer.from(key.slice(HASHED.length), 'hex') : digestOf(key);
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
