import path from 'node:path';
import { runtime } from '#runtime';
import { userRoot } from '../config/user-root.ts';
import { toPem } from '../protocol/pem.ts';
import type { Pin } from '../runtime/runtime.ts';

/** The identities of brokers that a user has met, by `HOST:PORT` (contract, section 6: trust on first use). */
export interface KnownBrokers {
  /** The file behind it. */
  readonly file: string;
  get(address: string): Pin | undefined;
  /** All of them, in the order in which they were met. */
  list(): ReadonlyMap<string, Pin>;
  /** Keeps an identity, in place of the one kept before. Throws the system's error when the file cannot be written. */
  set(address: string, pin: Pin): void;
  /** Forgets an address; gives whether it was known. */
  forget(address: string): boolean;
}

/** The user's own file. */
export function knownBrokersFile(env: Readonly<Record<string, string | undefined>> = process.env): string {
  return path.join(userRoot(env), 'known_brokers');
}

/**
 * Opens a file with a line for each broker: `HOST:PORT sha256:FINGERPRINT [certificate in base64 DER]`. Later lines win,
 * and lines of any other form are left alone. It need not exist.
 */
export function openKnownBrokers(file: string): KnownBrokers {
  let known = read(file);

  const rewrite = (address: string, line: string): void => {
    const lines = readText(file)
      .split('\n')
      .filter((one) => one !== '' && one.split(' ', 1)[0] !== address);
    if (line !== '') lines.push(line);
    const { renameSync, writeFileSync } = runtime.fs();
    const temporary = `${file}.${process.pid}.tmp`;
    writeFileSync(temporary, lines.map((one) => `${one}\n`).join(''), { mode: 0o600, flag: 'wx' });
    renameSync(temporary, file);
    known = read(file);
  };

  return {
    file,
    get: (address) => known.get(address),
    list: () => known,
    set(address, pin) {
      const { appendFileSync, mkdirSync } = runtime.fs();
      mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
      const line = formatLine(address, pin);
      if (known.has(address)) return rewrite(address, line);
      // One write at the end of the file: many clients may meet a broker at the same moment.
      appendFileSync(file, `${line}\n`, { mode: 0o600 });
      known = read(file);
    },
    forget(address) {
      if (!known.has(address)) return false;
      rewrite(address, '');
      return true;
    },
  };
}

function read(file: string): Map<string, Pin> {
  const known = new Map<string, Pin>();
  for (const line of readText(file).split('\n')) {
    const match = /^(\S+) sha256:([0-9a-f]{64})(?: ([A-Za-z0-9+/=]+))?$/.exec(line);
    if (!match) continue;
    const [, address = '', fingerprint = '', der] = match;
    known.set(address, { fingerprint, ...(der === undefined ? {} : { certificate: toPem(der) }) });
  }
  return known;
}

function readText(file: string): string {
  try {
    return runtime.readText(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}

function formatLine(address: string, { fingerprint, certificate }: Pin): string {
  const der = certificate?.replaceAll(/-----[A-Z ]+-----|\s/g, '');
  return `${address} sha256:${fingerprint}${der ? ` ${der}` : ''}`;
}
