import { createHash } from 'node:crypto';
import { trimSecret } from '../protocol/formats/secret.ts';

/**
 * An access key in a configuration: the key itself, or `sha256:` and the 64 hex digits of its SHA-256. One
 * fast hash is enough for a key that cannot be guessed (`keygen` makes 256 random bits), and it costs a call
 * nothing.
 */
const HASHED = 'sha256:';
const hashed = /^sha256:/i;

/** The form in which a configuration can hold a key without revealing it. */
export function hashAccessKey(key: string): string {
  return `${HASHED}${digestOf(key).toString('hex')}`;
}

/** Says why a configured key is not valid; undefined when it is. */
export function accessKeyProblem(configured: string): string | undefined {
  const key = trimSecret(configured);
  if (configured !== '' && key.trim() === '') return 'a key of white space alone guards nothing';
  if (!hashed.test(key) || /^sha256:[0-9a-f]{64}$/i.test(key)) return undefined;
  return "a key that begins with 'sha256:' is a hash: expected 64 hex digits after it, as keygen --hash prints them";
}

/** The SHA-256 of the key that a configured key accepts. A hash does not accept its own text. */
export function acceptedDigest(configured: string): Buffer {
  const key = trimSecret(configured);
  return hashed.test(key) ? Buffer.from(key.slice(HASHED.length), 'hex') : digestOf(key);
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
