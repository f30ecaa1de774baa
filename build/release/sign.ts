import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';

/** Signs releases, and has its public key in the forms of the tools that verify. */
export interface SigningKey {
  /** Base64 of the SubjectPublicKeyInfo: the line between the PEM markers of openssl. */
  readonly openssl: string;
  /** Base64 of the key as `ssh-keygen` writes it after `ssh-ed25519`. */
  readonly ssh: string;
  /** The bare Ed25519 signature, 64 bytes, for `openssl pkeyutl -rawin`. */
  sign(text: Buffer): Buffer;
  /** The signature for `ssh-keygen -Y verify`, in the namespace `signatureNamespace`. */
  signForSsh(text: Buffer): string;
}

/** The purpose of an SSH signature: one that was made for another purpose is not accepted. */
export const signatureNamespace = 'bpbroker-release';

const generate = 'openssl genpkey -algorithm ed25519 -out KEYFILE';

/**
 * Reads a private key from a file of `openssl genpkey -algorithm ed25519`: PKCS#8 as PEM, not encrypted. No
 * message contains anything of the file.
 * @throws Error when the file cannot be read, holds anything else, or others than its owner may read it.
 */
export function readSigningKey(file: string): SigningKey {
  const pem = readPrivately(file);
  const expected = `expected an Ed25519 private key as '${generate}' writes it`;
  if (/^-----BEGIN PUBLIC KEY-----/m.test(pem)) throw new Error(`${file} holds a public key; ${expected}`);
  if (!/^-----BEGIN PRIVATE KEY-----$/m.test(pem))
    throw new Error(`${file} holds no private key in PEM, PKCS#8 and not encrypted; ${expected}`);
  const key = parsed(pem);
  if (!key) throw new Error(`${file} holds a private key that is damaged; ${expected}`);
  if (key.asymmetricKeyType !== 'ed25519')
    throw new Error(`${file} holds a key of the type ${key.asymmetricKeyType}; ${expected}`);
  return signingKey(key);
}

/** The open file is checked: another one may have its name by now. */
function readPrivately(file: string): string {
  const opened = openSync(file, 'r');
  try {
    const info = fstatSync(opened);
    if (!info.isFile()) throw new Error(`${file} is not a file; expected one that holds the private key`);
    if ((info.mode & 0o077) !== 0) {
      const mode = (info.mode & 0o777).toString(8).padStart(3, '0');
      throw new Error(`${file} may be read or changed by others than its owner (mode ${mode}): chmod 600 it`);
    }
    return readFileSync(opened, 'latin1');
  } finally {
    closeSync(opened);
  }
}

function parsed(pem: string): KeyObject | undefined {
  try {
    return createPrivateKey(pem);
  } catch {
    // The message of the error could repeat the file's contents.
    return undefined;
  }
}

function signingKey(key: KeyObject): SigningKey {
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  const algorithm = text('ssh-ed25519');
  // The last 32 bytes are the key itself; before them is the algorithm.
  const ssh = Buffer.concat([algorithm, string(spki.subarray(-32))]);
  const namespace = text(signatureNamespace);
  const common = [namespace, text(''), text('sha512')];
  return {
    openssl: spki.toString('base64'),
    ssh: ssh.toString('base64'),
    sign: (content) => sign(undefined, content, key),
    signForSsh(content) {
      const digest = string(createHash('sha512').update(content).digest());
      const signature = sign(undefined, Buffer.concat([magic, ...common, digest]), key);
      const version = Buffer.from([0, 0, 0, 1]);
      const inner = string(Buffer.concat([algorithm, string(signature)]));
      const blob = Buffer.concat([magic, version, string(ssh), ...common, inner]).toString('base64');
      const lines = blob.match(/.{1,70}/g) ?? [];
      return ['-----BEGIN SSH SIGNATURE-----', ...lines, '-----END SSH SIGNATURE-----', ''].join('\n');
    },
  };
}

const magic = Buffer.from('SSHSIG');

/** Bytes in the form of SSH: after their length, in four bytes. */
function string(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function text(content: string): Buffer {
  return string(Buffer.from(content));
}
