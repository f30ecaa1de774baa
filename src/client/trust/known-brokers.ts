import path from 'node:path';
import { runtime } from '#runtime';
import { userRoot } from '../../config/user-root.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';
import { shellWord } from '../../protocol/formats/shell-word.ts';
import { reasonOf } from '../../protocol/system-errors.ts';
import type { Pin } from '../../runtime/runtime.ts';
import { changeFile } from './change-file.ts';
import { isNameKey, nameOf } from './name-key.ts';
import { type KnownLine, formatLine, readLines, subjectOf } from './known-lines.ts';

/** The identities of brokers that a user has met, by `HOST:PORT` (contract, section 6: trust on first use). */
export interface KnownBrokers {
  /** Path of the file; `undefined` when this user has no folder for it. */
  readonly file: string | undefined;
  /**
   * The identity kept for an address, in any spelling.
   * @throws BrokerError `identity_mismatch` when the file, or a line that may concern the address, cannot be
   * read: an unreadable identity does not count as absent.
   */
  get(address: string): Pin | undefined;
  /** All of them, in the order in which they were met. Throws as `get` does for the file, not for a line. */
  list(): ReadonlyMap<string, Pin>;
  /** The lines that cannot be read: a text for each, with its place and the reason. */
  problems(): readonly string[];
  /**
   * Keeps an identity, and replaces the one kept before. Programs that do so at once do not undo each other's
   * changes.
   * @throws BrokerError `invalid_config` when the file cannot be written, or cannot hold that address.
   */
  set(address: string, pin: Pin): void;
  /**
   * Keeps an identity at first contact: an address that has a line by now stays as it is. Returns whether it
   * was added. Throws as `set`.
   */
  add(address: string, pin: Pin): boolean;
  /** Forgets an address; returns whether it was known. Throws as `set`. */
  forget(address: string): boolean;
}

/**
 * Path of the user's own file; `undefined` without a place for it: no HOME, and an account without a home.
 */
export function knownBrokersFile(
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  const root = userRoot(env);
  return root === undefined ? undefined : path.join(root, 'known_brokers');
}

/** Advice when {@link knownBrokersFile} finds no place. */
const NO_PLACE =
  'this user has no home folder: set HOME (or XDG_CONFIG_HOME), or name the identity with --fingerprint';

/**
 * Opens a file with one line for each broker: `HOST:PORT sha256:FINGERPRINT [certificate in base64 DER]`. A
 * later line overrides an earlier one. The file need not exist, and is read at each call.
 */
export function openKnownBrokers(file: string | undefined): KnownBrokers {
  const change = (edit: (lines: KnownLine[]) => KnownLine[] | undefined): void => {
    if (file === undefined) throw new BrokerError('invalid_config', NO_PLACE);
    try {
      changeFile(file, (text) => {
        // A rewrite would destroy text that is not UTF-8.
        if (!isUtf8(text))
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
      const text = file === undefined ? '' : readText(file);
      const { pin, problem } = lookUp(readLines(text), key);
      if (!problem) return pin;
      const [whose, option] = isNameKey(key)
        ? [`of '${nameOf(key)}'`, `--name ${shellWord(nameOf(key))}`]
        : [`at ${key}`, `--bpbroker ${shellWord(key)}`];
      const remedy = isUtf8(text)
        ? `Correct or remove the line, or keep the identity again with the command trust: ${option} --fingerprint sha256:HEX`
        : 'Correct the file';
      throw new BrokerError(
        'identity_mismatch',
        `${place(file, problem.index, problem.text)}. It may say which identity the broker ${whose} must have, so nothing was sent there. ${remedy}`,
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
      const key = writtenKey(address);
      const line = { key, pin, text: formatLine(key, pin) };
      change((lines) => {
        const own = lines.filter((one) => one.key === key);
        // After a line that may be about any broker, only a new last line counts.
        const isRead = !lookUp(lines, key).problem && own.every(({ problem }) => problem === undefined);
        if (isRead && own.at(-1)?.text === line.text) return undefined;
        return [...lines.filter((one) => one.key !== key), line];
      });
    },
    add(address, pin) {
      const key = writtenKey(address);
      let isNew = false;
      change((lines) => {
        const now = lookUp(lines, key);
        isNew = !now.pin && !now.problem;
        return isNew ? [...lines, { key, pin, text: formatLine(key, pin) }] : undefined;
      });
      return isNew;
    },
    forget(address) {
      const key = keyOf(address);
      let known = false;
      // Without a file, no identity is known.
      if (file === undefined) return false;
      change((lines) => {
        known = lines.some((line) => line.key === key);
        return known ? lines.filter((line) => line.key !== key) : undefined;
      });
      return known;
    },
  };
}

/** What the lines say of an address: the later one counts, and an unreadable one may be about any address. */
function lookUp(
  lines: readonly KnownLine[],
  key: string,
): { readonly pin?: Pin; readonly problem?: { readonly index: number; readonly text: string } } {
  const index = lines.findLastIndex(
    (line) =>
      (line.key === key && line.pin !== undefined) ||
      (line.problem !== undefined && (line.key === undefined || line.key === key)),
  );
  const { pin, problem } = lines[index] ?? {};
  if (problem !== undefined) return { problem: { index, text: problem } };
  return pin ? { pin } : {};
}

/** The one spelling of an address or of a name's key; any other text stays as it is. */
function keyOf(text: string): string {
  return subjectOf(text) ?? text;
}

/**
 * The key to write.
 * @throws BrokerError `invalid_config` for one that the file could not give back, such as a host's name that
 * is not ASCII.
 */
function writtenKey(text: string): string {
  const key = subjectOf(text);
  if (key !== undefined && subjectOf(key) === key) return key;
  throw new BrokerError(
    'invalid_config',
    `known_brokers cannot hold '${text}': expected HOST:PORT in ASCII (IPv6 in brackets); give another address of the broker, or name its identity with --fingerprint`,
  );
}

/** Whether the file was UTF-8. Only then can it be changed. */
function isUtf8(text: string): boolean {
  return !/[\0\uFFFD]/.test(text);
}

function linesOf(file: string | undefined): KnownLine[] {
  return file === undefined ? [] : readLines(readText(file));
}

function readText(file: string): string {
  try {
    return runtime.readText(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw new BrokerError(
      'identity_mismatch',
      `Cannot read ${file}, which keeps the identities of brokers: ${reasonOf(error)}. You can name the broker's identity with --fingerprint instead`,
      { cause: error },
    );
  }
}

function place(file: string | undefined, index: number, problem: string): string {
  return `${messageOf(file)}:${index + 1}: ${problem}`;
}
