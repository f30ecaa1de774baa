import { webcrypto } from 'node:crypto';

/** A certificate and its private key, as PEM. */
export interface KeyPair {
  readonly cert: string;
  readonly key: string;
}

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

/**
 * Makes a P-256 key and a self-signed certificate for the DNS name `name` (RFC 5280). It is only for servers.
 * `from` and `to` are Unix milliseconds, rounded down to seconds, from 0 to 9999-12-31T23:59:59Z.
 */
export async function makeSelfSigned(name: string, from: number, to: number): Promise<KeyPair> {
  const { privateKey, publicKey } = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const subject = sequence(der(SET, sequence(oid('2.5.4.3'), der(UTF8_STRING, Buffer.from(name)))));
  const signedWith = sequence(oid('1.2.840.10045.4.3.2'));
  const certificate = sequence(
    der(EXPLICIT | 0, integer(Buffer.of(2))),
    integer(Buffer.from(webcrypto.getRandomValues(new Uint8Array(16)))),
    signedWith,
    subject,
    sequence(time(from), time(to)),
    subject,
    await exported('spki', publicKey),
    der(EXPLICIT | 3, extensions(name)),
  );
  const signature = Buffer.from(await webcrypto.subtle.sign(algorithm, privateKey, certificate));
  const [r, s] = [signature.subarray(0, 32), signature.subarray(32)];
  const whole = sequence(certificate, signedWith, bits(0, sequence(integer(r), integer(s))));
  return {
    cert: pem('CERTIFICATE', whole),
    key: pem('PRIVATE KEY', await exported('pkcs8', privateKey)),
  };
}

async function exported(format: 'spki' | 'pkcs8', key: webcrypto.CryptoKey): Promise<Buffer> {
  return Buffer.from(await webcrypto.subtle.exportKey(format, key));
}

/** Not an authority; only for signatures of handshakes; a server; with this name. */
function extensions(name: string): Buffer {
  const critical = der(BOOLEAN, Buffer.of(0xff));
  return sequence(
    sequence(oid('2.5.29.19'), critical, octets(sequence())),
    // The first bit of the list is digitalSignature; seven bits of its byte are unused.
    sequence(oid('2.5.29.15'), critical, octets(bits(7, Buffer.of(0x80)))),
    sequence(oid('2.5.29.37'), octets(sequence(oid('1.3.6.1.5.5.7.3.1')))),
    sequence(oid('2.5.29.17'), octets(sequence(der(DNS_NAME, Buffer.from(name))))),
  );
}

const BOOLEAN = 0x01;
const INTEGER = 0x02;
const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
const OBJECT_IDENTIFIER = 0x06;
const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
const SEQUENCE = 0x30;
const SET = 0x31;
const DNS_NAME = 0x82;
const EXPLICIT = 0xa0;

/** One value in the distinguished encoding rules of ASN.1 (X.690): its tag, its length, its contents. */
function der(tag: number, ...contents: readonly Buffer[]): Buffer {
  const { length } = Buffer.concat(contents);
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) bytes.unshift(rest & 0xff);
  const head = length < 0x80 ? [tag, length] : [tag, 0x80 | bytes.length, ...bytes];
  return Buffer.concat([Buffer.from(head), ...contents]);
}

const sequence = (...contents: readonly Buffer[]): Buffer => der(SEQUENCE, ...contents);
const octets = (content: Buffer): Buffer => der(OCTET_STRING, content);
const bits = (unused: number, content: Buffer): Buffer => der(BIT_STRING, Buffer.of(unused), content);

/**
 * A positive number, most significant byte first. It has no leading zeros, except for one where the sign bit
 * would be set.
 */
function integer(bytes: Buffer): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const digits = first === -1 ? Buffer.of(0) : bytes.subarray(first);
  return der(INTEGER, (digits[0] ?? 0) < 0x80 ? digits : Buffer.concat([Buffer.of(0), digits]));
}

/**
 * The first two numbers share a byte. Each other one has seven bits in a byte, and a mark on all but its last
 * byte.
 */
function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...others] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const number of others) {
    const septets = [number & 0x7f];
    for (let rest = number >>> 7; rest > 0; rest >>>= 7) septets.unshift(0x80 | (rest & 0x7f));
    bytes.push(...septets);
  }
  return der(OBJECT_IDENTIFIER, Buffer.from(bytes));
}

/** Years up to 2049 have two digits and later ones four (RFC 5280, section 4.1.2.5). */
function time(milliseconds: number): Buffer {
  const date = new Date(milliseconds);
  const digits = `${date.toISOString().slice(0, 19).replaceAll(/\D/g, '')}Z`;
  return date.getUTCFullYear() < 2050
    ? der(UTC_TIME, Buffer.from(digits.slice(2)))
    : der(GENERALIZED_TIME, Buffer.from(digits));
}

function pem(label: string, content: Buffer): string {
  const lines = content.toString('base64').match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
