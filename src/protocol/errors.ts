/**
 * The one error type, and the one table behind it (contract, sections 2 and 5). The HTTP API takes its status
 * from this table, and the command line its exit code. The client turns an answer back into the same error.
 */

interface ErrorKind {
  /** HTTP status of an answer that carries this error. */
  readonly status: number;
  /** Exit code of a command that fails with this error; scripts branch on these. */
  readonly exit: number;
}

/** The stable, machine-readable name of an error; travels as `code` in an answer's envelope. */
export type ErrorCode =
  | 'internal'
  | 'extension_failed'
  | 'invalid_request'
  | 'too_large'
  | 'too_many_requests'
  | 'unavailable'
  | 'outcome_unknown'
  | 'storage_full'
  | 'invalid_config'
  | 'usage'
  | 'not_found'
  | 'module_not_found'
  | 'already_exists'
  | 'revision_conflict'
  | 'access_denied'
  | 'forbidden'
  | 'unreachable'
  | 'ambiguous_broker'
  | 'identity_mismatch'
  | 'timeout'
  | 'lock_lost'
  | 'extension_timeout';

const kinds = {
  // 1: the broker or an extension reported an error
  internal: { status: 500, exit: 1 },
  extension_failed: { status: 500, exit: 1 },
  invalid_request: { status: 400, exit: 1 },
  too_large: { status: 413, exit: 1 },
  too_many_requests: { status: 429, exit: 1 },
  unavailable: { status: 503, exit: 1 },
  // A write that may have happened: it failed at a time when it could have reached the disk already.
  outcome_unknown: { status: 503, exit: 1 },
  storage_full: { status: 507, exit: 1 },
  invalid_config: { status: 500, exit: 1 },
  // 2: the command line itself is wrong
  usage: { status: 400, exit: 2 },
  // 3: not found
  not_found: { status: 404, exit: 3 },
  module_not_found: { status: 404, exit: 3 },
  // 4: already exists, or changed meanwhile
  already_exists: { status: 409, exit: 4 },
  revision_conflict: { status: 409, exit: 4 },
  // 5: access denied
  access_denied: { status: 401, exit: 5 },
  forbidden: { status: 403, exit: 5 },
  // 6–9: seen by a client only; no broker answers with one of these
  unreachable: { status: 503, exit: 6 },
  ambiguous_broker: { status: 409, exit: 7 },
  identity_mismatch: { status: 421, exit: 8 },
  timeout: { status: 504, exit: 9 },
  // 1 as well, but seen by a client only: it has lost the lock that it held
  lock_lost: { status: 409, exit: 1 },
  // 9 as well, but answered by a broker: it gave up waiting for the extension
  extension_timeout: { status: 504, exit: 9 },
} satisfies Record<ErrorCode, ErrorKind>;

/** All error codes, in the table's order. */
export const errorCodes: readonly ErrorCode[] = Object.keys(kinds) as ErrorCode[];

export interface BrokerErrorOptions {
  cause?: unknown;
  /**
   * HTTP status of the answer that carried the error, where it differs from the table's (of a foreign proxy,
   * for example).
   */
  status?: number;
  /** Whole seconds until another try makes sense; travels as `Retry-After`. */
  retryAfter?: number | undefined;
  /**
   * A command line that the message advises, without the name of the program. The message has `bpbroker`
   * before it, which a program replaces by its own name. Default: that of the cause.
   */
  advice?: string | undefined;
}

/**
 * The error that every part of bpbroker throws for a failure that has a code.
 *
 * @example
 * ```ts
 * import { BrokerError } from 'bpbroker';
 * const error = new BrokerError('not_found', "Entry 'foo' not found");
 * console.log(error.status, error.exitCode); // 404 3
 * ```
 */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  readonly code: ErrorCode;
  /** HTTP status. */
  readonly status: number;
  /** Exit code of a command that fails with this error. */
  readonly exitCode: number;
  /** Whole seconds until another try makes sense, where that is known. */
  readonly retryAfter: number | undefined;
  /** The command line after `bpbroker` that the message advises, if it advises one. */
  readonly advice: string | undefined;

  constructor(code: ErrorCode, message: string, options: BrokerErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.status = options.status ?? kinds[code].status;
    this.exitCode = kinds[code].exit;
    this.retryAfter = options.retryAfter;
    this.advice = options.advice ?? (options.cause instanceof BrokerError ? options.cause.advice : undefined);
  }
}

/** Whether a value is one of the error codes. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(kinds, value);
}

/** The code for an answer without one (of another server, or an extension), by its HTTP status. */
export function codeForStatus(status: number): ErrorCode {
  return errorCodes.find((code) => kinds[code].status === status && kinds[code].exit <= 5) ?? 'internal';
}

// The characters that a terminal may obey as commands: C0 and C1 controls and DEL.
// oxlint-disable-next-line no-control-regex
const control = /[\u0000-\u001f\u007f-\u009f]/g;

/** A text may have a million of them. */
const escapes = Array.from({ length: 0xa0 }, (_, code) => `\\u${code.toString(16).padStart(4, '0')}`);

/** The message of any thrown value, on one line and without control characters. */
export function messageOf(thrown: unknown): string {
  const message = textOf(thrown);
  return escapeControls(message.replaceAll(/\s*[\r\n]+\s*/g, ' ').trim());
}

/** A text with its control characters escaped as in JSON: `\u001b`. */
export function escapeControls(text: string): string {
  return text.replaceAll(control, (char) => escapes[char.charCodeAt(0)] ?? char);
}

/** Any value may be thrown, even one that cannot be converted to text. */
function textOf(thrown: unknown): string {
  try {
    return String(thrown instanceof Error ? thrown.message : thrown);
  } catch {
    return 'something that has no text';
  }
}
