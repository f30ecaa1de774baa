import type { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/**
 * Whether a certificate is valid for a host, by its subject's alternative names only (RFC 9525). The runtimes
 * check that too, but not every one of them in every case.
 */
export function isForHost(certificate: X509Certificate, host: string): boolean {
  if (isIP(host) !== 0) return certificate.checkIP(host) !== undefined;
  const options = { subject: 'never', partialWildcards: false } as const;
  return certificate.checkHost(host.replace(/\.$/, ''), options) !== undefined;
}
