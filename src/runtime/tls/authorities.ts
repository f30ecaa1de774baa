import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { BrokerError } from '../../protocol/errors.ts';
import { cannotRead } from '../../protocol/system-errors.ts';
import type { Environment } from '../runtime.ts';

/**
 * The files in which distributions keep all certificates of the authorities that they trust. The first one
 * that exists counts: Debian, Ubuntu, Alpine, Arch; Fedora, RHEL; openSUSE; older Red Hats; the BSDs and
 * macOS.
 */
const bundles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/ssl/cert.pem',
];

/**
 * The certificates, in PEM, of the authorities that this system trusts. They are those of the file
 * `SSL_CERT_FILE`, else of the system's own store, else (on a system without one) those of the runtime.
 * `NODE_EXTRA_CA_CERTS` adds a file to them.
 * @throws BrokerError `usage` where a file that a variable names cannot be read, or holds no certificate.
 */
export function systemAuthorities(env: Environment = process.env): readonly string[] {
  const { SSL_CERT_FILE: own, NODE_EXTRA_CA_CERTS: more } = env;
  const authorities = own ? readAuthorities(own, 'the file of SSL_CERT_FILE,') : ofSystem();
  return more ? [...authorities, ...readAuthorities(more, 'the file of NODE_EXTRA_CA_CERTS,')] : authorities;
}

function ofSystem(): readonly string[] {
  // macOS and Windows keep theirs elsewhere, and Node 20 cannot read that store: it uses their file, or its
  // own certificates.
  const sources = [fromBundles, fromStore];
  if (process.platform === 'win32' || process.platform === 'darwin') sources.reverse();
  for (const source of sources) {
    const found = source();
    if (found.length > 0) return found;
  }
  return tls.rootCertificates;
}

function fromStore(): readonly string[] {
  return (tls as { getCACertificates?: (kind: 'system') => string[] }).getCACertificates?.('system') ?? [];
}

function fromBundles(): readonly string[] {
  for (const file of bundles) {
    const found = bundled(file);
    if (found.length > 0) return found;
  }
  return [];
}

/** A certificate that cannot be parsed is left out; the others count. */
function bundled(file: string): string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  return certificatesIn(text).filter((pem) => problemOf(pem) === undefined);
}

/**
 * The certificates in a PEM file of authorities.
 * @param what names it: `--ca`.
 * @throws BrokerError as {@link cannotRead}, or `usage` where it holds no certificate, or a malformed one.
 */
export function readAuthorities(file: string, what: string): readonly string[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw cannotRead(what, file, error);
  }
  return parseAuthorities(text, `${what} ${file}`);
}

/**
 * The certificates in a text in PEM.
 * @throws BrokerError `usage`, naming `what`, where there is none, or one is malformed.
 */
export function parseAuthorities(text: string, what: string): readonly string[] {
  const found = certificatesIn(text);
  if (found.length === 0)
    throw new BrokerError(
      'usage',
      `${what} holds no certificate: expected PEM, which begins with -----BEGIN CERTIFICATE-----`,
    );
  for (const [n, pem] of found.entries()) {
    const problem = problemOf(pem);
    if (problem !== undefined)
      throw new BrokerError('usage', `${what} holds a certificate (number ${n + 1}) that is malformed`, {
        cause: problem,
      });
  }
  return found;
}

/** Includes texts that only begin like a certificate: they are malformed and must not be skipped. */
function certificatesIn(text: string): string[] {
  return [...text.matchAll(/-----BEGIN CERTIFICATE-----[^]*?(?:-----END CERTIFICATE-----|$(?![^]))/g)].map(
    ([pem]) => pem,
  );
}

function problemOf(pem: string): unknown {
  try {
    void new X509Certificate(pem);
    return undefined;
  } catch (error) {
    return error;
  }
}
