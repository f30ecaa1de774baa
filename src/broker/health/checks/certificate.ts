import { X509Certificate } from 'node:crypto';
import type { Finding } from '../../../api/readiness.ts';

const DAY_MS = 86_400_000;
const WARN_DAYS = 30;

/** Checks the dates of the presented certificate (PEM). A certificate that the broker made ends in 9999. */
export function checkCertificate(pem: string, now: number = Date.now()): Finding {
  const { validFrom, validTo } = new X509Certificate(pem);
  const days = Math.floor((Date.parse(validTo) - now) / DAY_MS);
  if (Date.parse(validTo) <= now) return { ok: false, reason: `the certificate expired on ${validTo}` };
  if (Date.parse(validFrom) > now) {
    return {
      ok: true,
      warning: `the certificate is not valid before ${validFrom}; is this host's clock right?`,
    };
  }
  if (days >= WARN_DAYS) return { ok: true };
  return { ok: true, warning: `the certificate expires on ${validTo}, in ${days} days` };
}
