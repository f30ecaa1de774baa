import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { describe, it } from 'node:test';
import { makeSelfSigned } from '../../src/broker/self-signed.ts';
import { lacking } from '../support/programs/tools.ts';

const skip = lacking('openssl', 'bash');

const [since, forEver] = [Date.UTC(2000, 0, 1), Date.UTC(9999, 11, 31, 23, 59, 59)];

/** What openssl reads in a certificate, without the bytes that differ each time. */
function read(cert: string, ...args: readonly string[]): string {
  return execFileSync('openssl', ['x509', '-noout', ...args], { input: cert, encoding: 'utf8' });
}

describe('makeSelfSigned()', { skip }, () => {
  it('makes what openssl reads as a certificate for a server of that name alone, and verifies', async () => {
    const { cert } = await makeSelfSigned('bpbroker', since, forEver);
    const extensions = read(cert, '-ext', 'basicConstraints,keyUsage,extendedKeyUsage,subjectAltName');
    assert.deepEqual(
      extensions.split('\n').map((line) => line.trim()),
      [
        ['X509v3 Basic Constraints: critical', 'CA:FALSE'],
        ['X509v3 Key Usage: critical', 'Digital Signature'],
        ['X509v3 Extended Key Usage:', 'TLS Web Server Authentication'],
        ['X509v3 Subject Alternative Name:', 'DNS:bpbroker', ''],
      ].flat(),
    );
    const described = read(cert, '-text');
    for (const line of [
      'Version: 3 (0x2)',
      'Signature Algorithm: ecdsa-with-SHA256',
      'Issuer: CN = bpbroker',
      'Subject: CN = bpbroker',
      'Not Before: Jan  1 00:00:00 2000 GMT',
      'Not After : Dec 31 23:59:59 9999 GMT',
      'ASN1 OID: prime256v1',
    ])
      assert.ok(described.includes(line), line);
    // It is no authority, so it is trusted as what it is and not as the issuer of itself.
    const trusted = [
      'verify',
      '-partial_chain',
      '-purpose',
      'sslserver',
      '-check_ss_sig',
      '-verify_hostname',
    ];
    const args = [...trusted, 'bpbroker', '-trusted', '/dev/stdin', '/dev/stdin'];
    assert.match(execFileSync('bash', ['-c', trial(args)], { input: cert, encoding: 'utf8' }), /: OK\n$/);
  });

  it('returns a key of its own each time, which is that of the certificate and has signed it', async () => {
    const seen = new Set<string>();
    // Enough for numbers with a zero in front, and with a first bit that is set.
    for (let i = 0; i < 300; i++) {
      const { cert, key } = await makeSelfSigned('bpbroker', since, forEver);
      const certificate = new X509Certificate(cert);
      assert.ok(certificate.checkPrivateKey(createPrivateKey(key)));
      assert.ok(certificate.verify(certificate.publicKey));
      seen.add(certificate.serialNumber).add(certificate.fingerprint256);
    }
    assert.equal(seen.size, 600);
  });

  it('has any dates, in both forms that there are for them, and long names', async () => {
    const name = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example`;
    const [from, to] = [Date.UTC(2049, 11, 31, 23, 59, 59), Date.UTC(2050, 0, 1)];
    const { cert } = await makeSelfSigned(name, from, to);
    const listed = execFileSync('openssl', ['asn1parse'], { input: cert, encoding: 'utf8' });
    assert.match(listed, /UTCTIME +:491231235959Z\n.*GENERALIZEDTIME +:20500101000000Z\n/);
    const certificate = new X509Certificate(cert);
    assert.equal(certificate.validFrom, 'Dec 31 23:59:59 2049 GMT');
    assert.equal(certificate.validTo, 'Jan  1 00:00:00 2050 GMT');
    assert.equal(certificate.subject, `CN=${name}`);
    assert.equal(certificate.checkHost(name), name);
    assert.equal(certificate.ca, false);
  });
});

/** Standard input is read once, as the certificate that is trusted and as the one that is checked. */
function trial(args: readonly string[]): string {
  const words = args.map((word) => (word === '/dev/stdin' ? '<(echo "$pem")' : word)).join(' ');
  return `pem=$(cat) && openssl ${words}`;
}
