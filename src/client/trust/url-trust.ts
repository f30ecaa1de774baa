import { X509Certificate } from 'node:crypto';
import type { BrokerUrl } from '../../protocol/addresses/broker-url.ts';
import { BrokerError } from '../../protocol/errors.ts';
import { isForHost } from '../../runtime/tls/host-name.ts';
import type { HostCertificate } from '../../runtime/runtime.ts';
import { identityMismatch } from './identity.ts';

/** The authorities that vouch for a broker that is named by a URL (contract, section 2). */
export interface UrlTrust {
  /** Whether the user has named the authorities (`ca`); else the system's apply. */
  readonly isOwn: boolean;
  /** The only certificate to accept, besides the authorities' word: 64 lower-case hex digits. */
  readonly fingerprint: string | undefined;
}

/**
 * Checks the certificate of the site behind a URL, before anything is sent to it.
 * @throws BrokerError `identity_mismatch`, with what is wrong and the remedy.
 */
export function checkUrlCertificate(url: BrokerUrl, presented: HostCertificate, trust: UrlTrust): void {
  if (!presented.isVouchedFor) {
    const [what, remedy] = problemOf(new X509Certificate(presented.certificate), url.host, trust.isOwn);
    throw new BrokerError(
      'identity_mismatch',
      `The certificate of ${url.href} ${what}; nothing was sent. ${remedy}`,
    );
  }
  const { fingerprint } = trust;
  if (fingerprint !== undefined && presented.fingerprint !== fingerprint)
    throw identityMismatch(url, fingerprint, presented.fingerprint, 'named');
}

function problemOf(certificate: X509Certificate, host: string, isOwn: boolean): [string, string] {
  const { validFrom, validTo, subjectAltName } = certificate;
  const clock = "Have it renewed; if it is right, this host's clock is wrong.";
  if (Date.parse(validTo) < Date.now()) return [`has expired: it was valid until ${validTo}`, clock];
  if (Date.parse(validFrom) > Date.now()) return [`is not valid yet, but from ${validFrom} on`, clock];
  if (!isForHost(certificate, host))
    return [
      `is not for ${host}, but for ${subjectAltName ?? 'no name at all'}`,
      'Use a URL with a name that it is for.',
    ];
  const issuer = certificate.issuer.replaceAll('\n', ', ');
  return isOwn
    ? [
        `is not signed by an authority of --ca (ca), but by ${issuer}`,
        'Give the file of the authority that has signed it.',
      ]
    : [
        `is signed by no authority that this system trusts, but by ${issuer}`,
        'Name the file of the authority that has signed it: --ca FILE (ca).',
      ];
}
