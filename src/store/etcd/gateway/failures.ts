import { BrokerError, type ErrorCode, messageOf } from '../../../protocol/errors.ts';

/** The reason why a request to one endpoint had no good answer. */
export interface Failure {
  /**
   * - `unsent`: there was no connection, so nothing was done.
   * - `lost`: it may have been done, or may still be.
   * - `busy`: it was refused for now, and nothing was done.
   * - `stale_token`: it was refused because etcd does not know the session's token (any more), and nothing
   * was done.
   * - `refused`: it was refused for good, and nothing was done.
   */
  readonly kind: 'unsent' | 'lost' | 'busy' | 'stale_token' | 'refused';
  /** The message of etcd, or of the connection. */
  readonly reason: string;
  /** etcd's gRPC status, if it answered. */
  readonly grpc?: number;
}

/** gRPC status codes. */
const INVALID_ARGUMENT = 3;
export const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;
const FAILED_PRECONDITION = 9;
export const OUT_OF_RANGE = 11;
const UNAUTHENTICATED = 16;

const final = new Set([
  INVALID_ARGUMENT,
  NOT_FOUND,
  PERMISSION_DENIED,
  RESOURCE_EXHAUSTED,
  FAILED_PRECONDITION,
  OUT_OF_RANGE,
  UNAUTHENTICATED,
]);

/** The meaning of a failed answer of the gateway. */
export function failureOf(status: number, body: string): Failure {
  const { message, grpc } = refusalIn(body);
  if (message === undefined || grpc === undefined) {
    if (status === 404) return { kind: 'refused', reason: NO_GATEWAY };
    return { kind: 'lost', reason: `it answers with HTTP status ${status}` };
  }
  const reason = message.replace(/^etcdserver: /, '');
  if (grpc === UNAUTHENTICATED || /revision of auth store is old/.test(reason)) {
    return { kind: 'stale_token', reason, grpc };
  }
  if (/too many requests/.test(reason)) return { kind: 'busy', reason, grpc };
  return { kind: final.has(grpc) ? 'refused' : 'lost', reason, grpc };
}

/**
 * The meaning of a failed connection: a refused one cannot have carried a request, any other one may have.
 */
export function brokenConnection(error: unknown): Failure {
  const thrown = [error, (error as { cause?: unknown } | undefined)?.cause] as (SystemError | undefined)[];
  const reason = reasonIn(error);
  const unsent =
    thrown.some((one) => typeof one?.code === 'string' && NEVER_CONNECTED.has(one.code) && !wasOpen(one)) ||
    /connection refused|certificate|getaddrinfo/i.test(reason);
  return { kind: unsent ? 'unsent' : 'lost', reason };
}

interface SystemError {
  readonly code?: unknown;
  readonly syscall?: unknown;
}

/** An open connection to a host that vanishes ends with the same code as one that never opened. */
function wasOpen({ syscall }: SystemError): boolean {
  return syscall === 'read' || syscall === 'write';
}

/** The error for a failure that neither a retry nor another member can correct. */
export function refusalOf(failure: Failure): BrokerError {
  const { reason, grpc } = failure;
  return new BrokerError(codeOf(failure), `etcd refuses it: ${reason}${hintFor(reason)}`, {
    cause: { grpc },
  });
}

/** The gRPC status of the refusal that caused an error. */
export function grpcOf(error: unknown): number | undefined {
  const { cause } = error instanceof BrokerError ? error : { cause: undefined };
  return (cause as { grpc?: number } | undefined)?.grpc;
}

export const isFull = (error: unknown): boolean =>
  error instanceof BrokerError && error.code === 'storage_full';

const NO_GATEWAY =
  "there is no JSON gateway under /v3: expected etcd 3.4 or newer, started without '--enable-grpc-gateway=false'";

const NEVER_CONNECTED = new Set([
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ConnectionRefused',
  'UND_ERR_CONNECT_TIMEOUT',
]);

function codeOf({ reason, grpc }: Failure): ErrorCode {
  if (/space exceeded/.test(reason)) return 'storage_full';
  if (/request is too large/.test(reason)) return 'too_large';
  if (grpc === undefined || grpc === PERMISSION_DENIED || grpc === UNAUTHENTICATED) return 'invalid_config';
  if (/authentication failed|user name is empty|authentication is not enabled/.test(reason))
    return 'invalid_config';
  return grpc === RESOURCE_EXHAUSTED ? 'unavailable' : 'internal';
}

function hintFor(reason: string): string {
  if (/space exceeded/.test(reason)) {
    return "; its quota is used up: compact and defragment it, or raise '--quota-backend-bytes', then clear the alarm with 'etcdctl alarm disarm'";
  }
  if (/request is too large/.test(reason)) return "; '--max-request-bytes' of etcd must be above 1.5 MiB";
  if (/user name is empty/.test(reason))
    return "; it asks for a user: give '_store.username' and '_store.password'";
  if (/authentication failed/.test(reason)) return "; check '_store.username' and '_store.password'";
  if (/authentication is not enabled/.test(reason))
    return "; leave out '_store.username', or enable it in etcd";
  if (/permission denied/.test(reason))
    return '; the user needs a role that may read and write all keys below the prefix';
  return '';
}

function refusalIn(body: string): { message: string | undefined; grpc: number | undefined } {
  try {
    const { error, message, code } = JSON.parse(body) as {
      error?: unknown;
      message?: unknown;
      code?: unknown;
    };
    const text = [message, error].find((part) => typeof part === 'string');
    return { message: text, grpc: typeof code === 'number' ? code : undefined };
  } catch {
    return { message: undefined, grpc: undefined };
  }
}

/** `fetch` says only that it failed; the reason is in its cause. */
function reasonIn(error: unknown): string {
  const { cause } = (error ?? {}) as { cause?: unknown };
  const own = messageOf(error);
  const inner = cause === undefined ? '' : messageOf(cause);
  return inner === '' || own.includes(inner) ? own : `${own}: ${inner}`;
}
