import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { createSecureContext } from 'node:tls';
import { removeLeftovers, replaceFile } from '../config/atomic-write.ts';
import type { Config } from '../config/schema.ts';
import { BrokerError, messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/logger.ts';
import { isObject } from '../protocol/formats/data.ts';
import { reasonOf } from '../protocol/system-errors.ts';
import type { SharedRegistry } from './opening/broker-store.ts';
import type { KeyPair } from './self-signed.ts';
import { closePrivateKey } from './opening/file-permissions.ts';

/** The broker's identity. */
export interface Certificate {
  /** PEM, with its chain if there is one. */
  readonly cert: string;
  /** PEM private key. */
  readonly key: string;
  /** SHA-256 of the certificate's DER form, 64 lower-case hex digits. */
  readonly fingerprint: string;
}

/**
 * The dates of a certificate that the broker makes: from 2000 to RFC 5280's "no expiration" (section
 * 4.1.2.5). Clients trust its fingerprint and not its dates, so these exclude no host with a wrong clock.
 */
const SINCE = Date.UTC(2000, 0, 1);
const FOR_EVER = Date.UTC(9999, 11, 31, 23, 59, 59);

/**
 * Loads the certificate that the configuration names. Without one, the broker makes its own at the first
 * start, and keeps it beside `configFile` (contract, section 5). For a registry of several brokers, that
 * certificate is in the registry: a client that knows one broker then knows them all.
 * @throws BrokerError `invalid_config` when a file cannot be read, certificate and key do not belong together,
 * the chain is cut off, or TLS does not accept them.
 */
export async function loadCertificate(
  api: Config['api'],
  configFile: string,
  log: Logger,
  shared?: SharedRegistry,
): Promise<Certificate> {
  if (isNamed(api)) {
    return pair(await readPem(api.ssl_cert), await readKey(api.ssl_key, log), api.ssl_cert);
  }
  if (api.ssl_cert !== '')
    log.warn("the original's dummy certificate is not used: its key is public", { file: api.ssl_cert });
  if (shared?.isPrivate) return await loadCommon(shared);
  if (shared) {
    log.warn(
      'this broker has a certificate of its own, since etcd is reached without TLS: clients that know another broker of the registry do not know it. Use https endpoints, or give all of them one api.ssl_cert',
    );
  }
  const { certFile, keyFile } = ownCertificateFiles(configFile);
  const cert = await readIfThere(certFile);
  if (cert !== undefined) return pair(cert, await readKey(keyFile, log), certFile);
  // Of a start that ended while it made them.
  for (const file of [keyFile, certFile]) await removeLeftovers(file);
  const made = await makeOwn();
  // The key comes first: a key without its certificate is replaced at the next start, the reverse would be an
  // error.
  await replaceFile(keyFile, [made.key], { mode: 0o600 });
  await replaceFile(certFile, [made.cert], { mode: 0o644 });
  log.info('made a certificate', { file: certFile });
  return pair(made.cert, made.key, certFile);
}

/** The files of the certificate that a broker makes, beside its configuration. */
export function ownCertificateFiles(configFile: string): {
  readonly certFile: string;
  readonly keyFile: string;
} {
  const base = path.join(path.dirname(configFile), path.basename(configFile, path.extname(configFile)));
  return { certFile: `${base}.crt`, keyFile: `${base}.key` };
}

/** Whether the configuration names a usable certificate. */
export function isNamed({ ssl_cert: cert }: Config['api']): boolean {
  return cert !== '' && !isOriginalsDummy(cert);
}

/** The name of the certificate among the texts that the brokers of a registry share. */
export const SHARED_CERTIFICATE = 'certificate';

/** The text under that name. */
export function sharedCertificateText({ cert, key }: KeyPair): string {
  return JSON.stringify({ cert, key });
}

/** The code for it is loaded only at the first start. */
async function makeOwn(): Promise<KeyPair> {
  const { makeSelfSigned } = await import('./self-signed.ts');
  return await makeSelfSigned('bpbroker', SINCE, FOR_EVER);
}

/** The certificate that all brokers of a registry share. */
async function loadCommon({ common }: SharedRegistry): Promise<Certificate> {
  return readSharedCertificate(
    await common(SHARED_CERTIFICATE, async () => sharedCertificateText(await makeOwn())),
  );
}

/**
 * The certificate in such a text.
 * @throws BrokerError `invalid_config` for any other text.
 */
export function readSharedCertificate(text: string): Certificate {
  let stored: unknown;
  try {
    stored = JSON.parse(text);
  } catch {
    stored = undefined;
  }
  const { cert, key } = isObject(stored) ? stored : {};
  if (typeof cert !== 'string' || typeof key !== 'string') {
    throw new BrokerError(
      'invalid_config',
      "The key 'm/common/certificate' below the prefix in etcd holds no certificate with its key; remove it, and the next start makes one",
    );
  }
  return pair(cert, key, 'in etcd');
}

// Whether a file is the certificate that came with 0.22, which its configuration may name. Its key is public.
function isOriginalsDummy(file: string): boolean {
  return /(^|[\\/])dummy_api\.crt$/.test(file);
}

function pair(cert: string, key: string, source: string): Certificate {
  try {
    const certificate = new X509Certificate(cert);
    checkChain(cert);
    if (!certificate.checkPrivateKey(createPrivateKey(key)))
      throw new Error('its private key belongs to another certificate');
    checkTls(cert, key);
    return { cert, key, fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase() };
  } catch (error) {
    throw new BrokerError('invalid_config', `Cannot use the certificate ${source}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

const BEGIN = '-----BEGIN CERTIFICATE-----';
const END = '-----END CERTIFICATE-----';

/** Deno's TLS drops a certificate that is cut off, and presents one that nobody can read. */
function checkChain(cert: string): void {
  for (const [index, rest] of cert.split(BEGIN).slice(1).entries()) {
    try {
      if (!rest.includes(END)) throw new Error(`it has no line '${END}'`);
      void new X509Certificate(BEGIN + rest);
    } catch (error) {
      throw new Error(
        `certificate ${index + 1} in it is cut off or malformed (${messageOf(error)}); copy the whole chain again`,
        { cause: error },
      );
    }
  }
}

/** What TLS refuses is refused before a port is closed for it: a key that is too small, for instance. */
function checkTls(cert: string, key: string): void {
  try {
    createSecureContext({ cert, key, minVersion: 'TLSv1.2' });
  } catch (error) {
    throw new Error(
      `TLS does not accept it (${messageOf(error)}); a P-256 key, or an RSA key of 2048 bits, is accepted everywhere`,
      { cause: error },
    );
  }
}

/** Reads a private key, after its file was closed to other users. */
async function readKey(file: string, log: Logger): Promise<string> {
  const key = await readPem(file);
  await closePrivateKey(file, log);
  return key;
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new BrokerError(
      'invalid_config',
      `Cannot read the certificate's file ${file}: ${reasonOf(error)}`,
      { cause: error },
    );
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
