import { webcrypto } from 'node:crypto';

/** What a certificate of a test says. */
export interface Leaf {
  /** Host names that it is for. */
  readonly names?: readonly string[];
  /** IP addresses that it is for. */
  readonly ips?: readonly string[];
  /** Whether its last day was yesterday, or its first one is tomorrow. Default: it is valid now. */
  readonly validity?: 'over' | 'to come';
  /** Whether it is for clients too, besides servers. */
  readonly isClient?: boolean;
  /** Whether an authority below the root has signed it, whose certificate comes with it. */
  readonly chained?: boolean;
}

export interface LeafPair {
  /** PEM, with its chain if there is one. */
  readonly cert: string;
  /** PEM private key. */
  readonly key: string;
}

/** A certificate authority of a test's own. */
export interface Authority {
  /** Its own certificate, PEM. */
  readonly cert: string;
  sign(leaf: Leaf): Promise<LeafPair>;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const dayMs = 24 * 3600 * 1000;

/** Makes an authority that nobody trusts yet. */
export async function createAuthority(name = 'test authority'): Promise<Authority> {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto as Crypto);
  const makeKeys = (): Promise<CryptoKeyPair> =>
    webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const from = (ms: number): { notBefore: Date; notAfter: Date } => ({
    notBefore: new Date(Date.now() + ms),
    notAfter: new Date(Date.now() + ms + 4 * dayMs),
  });
  const usages = x509.KeyUsageFlags;
  const ofAuthority = [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(usages.keyCertSign | usages.cRLSign, true),
  ];
  const keys = await makeKeys();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    ...from(-2 * dayMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: ofAuthority,
  });

  return {
    cert: `${root.toString('pem')}\n`,
    async sign({ names = [], ips = [], validity, isClient = false, chained = false }) {
      let issuer = { subject: root.subject, key: keys.privateKey };
      let chain = '';
      if (chained) {
        const between = await makeKeys();
        const certificate = await x509.X509CertificateGenerator.create({
          subject: `CN=${name} below`,
          issuer: root.subject,
          ...from(-dayMs),
          signingAlgorithm: algorithm,
          publicKey: between.publicKey,
          signingKey: keys.privateKey,
          extensions: ofAuthority,
        });
        issuer = { subject: certificate.subject, key: between.privateKey };
        chain = `${certificate.toString('pem')}\n`;
      }
      const own = await makeKeys();
      const leaf = await x509.X509CertificateGenerator.create({
        subject: `CN=${names[0] ?? ips[0] ?? 'nobody'}`,
        issuer: issuer.subject,
        ...from({ over: -5 * dayMs, 'to come': dayMs, now: -dayMs }[validity ?? 'now']),
        signingAlgorithm: algorithm,
        publicKey: own.publicKey,
        signingKey: issuer.key,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(usages.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([
            x509.ExtendedKeyUsage.serverAuth,
            ...(isClient ? [x509.ExtendedKeyUsage.clientAuth] : []),
          ]),
          new x509.SubjectAlternativeNameExtension([
            ...names.map((value) => ({ type: 'dns' as const, value })),
            ...ips.map((value) => ({ type: 'ip' as const, value })),
          ]),
        ],
      });
      const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', own.privateKey));
      return { cert: `${leaf.toString('pem')}\n${chain}`, key: x509.PemConverter.encode(der, 'PRIVATE KEY') };
    },
  };
}
