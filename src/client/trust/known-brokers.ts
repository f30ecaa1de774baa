import path from 'node:path';
import { runtime } from '#runtime';
import { userRoot } from '../../config/user-root.ts';
import { canonicalAddress, formatAddress, readAddress } from '../../protocol/addresses/address.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
import type { Pin } from '../../runtime/runtime.ts';
import { changeFile } from './change-file.ts';
import { isNameKey } from './name-key.ts';
import { type Line, formatLine, readLines } from './known-lines.ts';

/** The identities of brokers that a user has met, by `HOST:PORT` (contract, section 6: trust on first use). */
export interface KnownBrokers {
  /** The file behind it; nothing where this user has no folder to keep one in. */
  readonly file: string | undefined;
  /**
   * The identity kept for an address, in whatever spelling.
   * @throws BrokerError `identity_mismatch` when the file, or a line of it that may be about the address, cannot be read:
   *   what cannot be read is not absent.
   */
  get(address: string): Pin | undefined;
  /** All of them, in the order in which they were met. Throws as `get` for the file, not for a line. */
  list(): ReadonlyMap<string, Pin>;
  /** The lines that cannot be read: where and why, one text for each. */
  problems(): readonly string[];
  /**
   * Keeps an identity, in place of the one kept before. Programs that do so at once lose nothing of each other.
   * @throws BrokerError `invalid_config` when the file cannot be written.
   */
  set(address: string, pin: Pin): void;
  /** Forgets an address; gives whether it was known. Throws as `set`. */
  forget(address: string): boolean;
}

/** The user's own file; nothing where there is no place for one: no HOME, and an account that has no home. */
export function knownBrokersFile(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  const root = userRoot(env);
  return root === undefined ? undefined : path.join(root, 'known_brokers');
}

/** What to set where {@link knownBrokersFile} finds no place. */
const NO_PLACE =
  'this user has no home folder: set HOME (or XDG_CONFIG_HOME), or name the identity with --fingerprint';

/**
 * Opens a file with a line for each broker: `HOST:PORT sha256:FINGERPRINT [certificate in base64 DER]`. Later lines win. It
 * need not exist, and is read each time it is asked.
 */
export function openKnownBrokers(file: string | undefined): KnownBrokers {
  const change = (edit: (lines: Line[]) => Line[] | undefined): void => {
    if (file === undefined) throw new BrokerError('invalid_config', NO_PLACE);
    try {
      changeFile(file, (text) => {
        // To write what was not read as it is would spoil it.
        if (/[\0\uFFFD]/.test(text))
          throw new BrokerError('invalid_config', `${file} is not UTF-8; save it as UTF-8 first`);
        const lines = edit(readLines(text));
        return lines && lines.map(({ text: line }) => `${line}\n`).join('');
      });
    } catch (error) {
      if (error instanceof BrokerError) throw error;
      throw new BrokerError('invalid_config', `Cannot write ${file}: ${reasonOf(error)}`, { cause: error });
    }
  };

  return {
    file,
    get(address) {
      const key = keyOf(address);
      let found: Pin | undefined;
      let problem: string | undefined;
      for (const [index, line] of linesOf(file).entries()) {
        if (line.key === key && line.pin) {
          found = line.pin;
          problem = undefined;
        } else if (line.problem !== undefined && (line.key === undefined || line.key === key)) {
          problem = place(file, index, line.problem);
        }
      }
      if (problem === undefined) return found;
      throw new BrokerError(
        'identity_mismatch',
        `${problem}. It may say which identity the broker at ${key} must have, so nothing was sent there. Mend or remove the line, or keep the identity anew with the command trust: --bpbroker ${key} --fingerprint sha256:HEX`,
      );
    },
    list: () =>
      new Map(
        linesOf(file).flatMap(({ key, pin }) => (key !== undefined && pin ? [[key, pin] as const] : [])),
      ),
    problems: () =>
      linesOf(file).flatMap(({ problem }, index) =>
        problem === undefined ? [] : [place(file, index, problem)],
      ),
    set(address, pin) {
      const key = keyOf(address);
      const line = { key, pin, text: formatLine(key, pin) };
      change((lines) =>
        lines.findLast((one) => one.key === key)?.text === line.text
          ? undefined
          : [...lines.filter((one) => one.key !== key), line],
      );
    },
    forget(address) {
      const key = keyOf(address);
      let known = false;
      // Without a place to keep anything, nothing is known.
      if (file === undefined) return false;
      change((lines) => {
        known = lines.some((line) => line.key === key);
        return known ? lines.filter((line) => line.key !== key) : undefined;
      });
      return known;
    },
  };
}

/** The one spelling of an address; any other text is itself. */
function keyOf(text: string): string {
  if (isNameKey(text)) return text;
  const address = readAddress(text);
  return address ? formatAddress(canonicalAddress(address)) : text;
}

function linesOf(file: string | undefined): Line[] {
  return file === undefined ? [] : readLines(readText(file));
}

function readText(file: string): string {
  try {
    return runtime.readText(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw new BrokerError(
      'identity_mismatch',
      `Cannot read ${file}, which keeps the identities of brokers: ${reasonOf(error)}. Or name the broker's identity with --fingerprint`,
      { cause: error },
    );
  }
}

function place(file: string | undefined, index: number, problem: string): string {
  return `${messageOf(file)}:${index + 1}: ${problem}`;
}
