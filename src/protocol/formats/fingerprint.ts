import { BrokerError } from '../errors.ts';
import { trimSecret } from './secret.ts';

/**
 * The 64 hex digits of `sha256:HEX`, colons and case aside.
 * @throws BrokerError `usage` for anything else, naming `what`.
 */
export function parseFingerprint(text: string, what = 'fingerprint'): string {
  const hex = trimSecret(text)
    .replace(/^sha256:/i, '')
    .replaceAll(':', '')
    .toLowerCase();
  if (/^[0-9a-f]{64}$/.test(hex)) return hex;
  throw new BrokerError('usage', `Invalid ${what} '${text}': expected sha256: and 64 hex digits`);
}
