import { canonicalAddress, formatAddress, readAddress } from '../../protocol/addresses/address.ts';
import { messageOf } from '../../protocol/errors.ts';
import { toPem } from '../../protocol/formats/pem.ts';
import type { Pin } from '../../runtime/runtime.ts';
import { readNameKey } from './name-key.ts';

/** One line of `known_brokers`. */
export interface KnownLine {
  /** As it is in the file, without its line end and the spaces around it. */
  readonly text: string;
  /**
   * The address that it is about, in its one spelling. Absent for an empty line, a comment, and a line that
   * may be about any address.
   */
  readonly key?: string;
  readonly pin?: Pin;
  /** Why it cannot be read. */
  readonly problem?: string;
}

/**
 * The lines of the file. Harmless differences are accepted: line ends of any system, a byte order mark,
 * spaces and tabs, upper and lower case, colons in a fingerprint, no newline at the end. Empty lines and
 * those that begin with `#` are ignored.
 */
export function readLines(text: string): KnownLine[] {
  if (isUtf16(text)) {
    return [{ text, problem: 'this file is UTF-16 and not UTF-8; save it as UTF-8' }];
  }
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  if (lines.at(-1)?.trim() === '') lines.pop();
  return lines.map((line) => readLine(line.trim()));
}

export function formatLine(key: string, { fingerprint, certificate }: Pin): string {
  const der = certificate?.replaceAll(/-----[A-Z ]+-----|\s/g, '');
  return `${key} sha256:${fingerprint}${der ? ` ${der}` : ''}`;
}

const form = /^(\S+)[ \t]+sha256:((?:[0-9a-f]{2}:?){31}[0-9a-f]{2})(?:[ \t]+([A-Za-z0-9+/]+=*))?$/i;

function readLine(text: string): KnownLine {
  if (text === '' || text.startsWith('#')) return { text };
  const [, subject, hex, der] = form.exec(text) ?? [];
  if (subject === undefined || hex === undefined) return unreadable(text);
  const key = subjectOf(subject);
  // An address in a form that is not known here may be any address.
  if (key === undefined) return unreadable(text);
  const fingerprint = hex.replaceAll(':', '').toLowerCase();
  // The fingerprint decides. A certificate that was cut short would only make the handshake fail.
  const pin = der === undefined || !isWhole(der) ? { fingerprint } : { fingerprint, certificate: toPem(der) };
  return { text, key, pin };
}

function unreadable(text: string): KnownLine {
  const [first = '', ...rest] = text.split(/[ \t]+/);
  const shown = messageOf(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  const problem = `cannot read the line '${shown}': expected HOST:PORT or name=NAME, then sha256:HEX, and the certificate if it is known`;
  // Another line may be joined to the end of this one, or a space may divide the address or the name. Then the
  // line may be about any broker.
  const alone =
    rest.length <= 2 &&
    rest.every((word) => /^(?:[\w-]*:)?[\w+/=-]*$/.test(word)) &&
    /^(?:sha\d*(?::|$)|$)/i.test(rest[0] ?? '');
  const key = alone ? subjectOf(first) : undefined;
  return key === undefined ? { text, problem } : { text, key, problem };
}

/** The start of a UTF-16 file when it is read as UTF-8. */
function isUtf16(text: string): boolean {
  return text.includes('\0') || text.startsWith('\uFFFD\uFFFD');
}

/** The one spelling of an address or of the key of a name; undefined for any other word. */
export function subjectOf(word: string): string | undefined {
  const name = readNameKey(word);
  if (name !== undefined) return name;
  const address = readAddress(word);
  return address && formatAddress(canonicalAddress(address));
}

/**
 * Whether the base64 text has the length that its DER states (X.690, section 8.1.3). A certificate's length
 * is always in two bytes.
 */
function isWhole(base64: string): boolean {
  const bytes = Buffer.from(base64, 'base64');
  return bytes[0] === 0x30 && bytes[1] === 0x82 && bytes.length === 4 + bytes.readUInt16BE(2);
}
