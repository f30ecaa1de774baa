import { formatAddress, type HostPort } from '../protocol/address.ts';
import { BrokerError, messageOf } from '../protocol/errors.ts';

// System codes as Node, Bun and Deno report them, in words.
const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ConnectionRefused: 'connection refused',
  ECONNRESET: 'the connection was reset',
  ConnectionClosed: 'the connection was closed',
  EPIPE: 'the connection was closed',
  ETIMEDOUT: 'the connection timed out',
  EHOSTUNREACH: 'no route to that host',
  ENETUNREACH: 'no route to that network',
  ENOTFOUND: 'no such host',
  EAI_AGAIN: 'the host name could not be looked up',
  EADDRNOTAVAIL: 'no such address',
};

/** The `unreachable` error for a connection that failed, in plain words where the system's code is known. */
export function unreachable(address: HostPort, error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const reason = reasons[codeOf(error) ?? ''] ?? messageOf(error);
  return new BrokerError('unreachable', `No broker reached at ${formatAddress(address)}: ${reason}`, {
    cause: error,
  });
}

/** The system's code of an error, looked for in its causes too (Deno and fetch wrap theirs). */
export function codeOf(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === 'string') return code;
    // Happy Eyeballs failures carry one error for each address that was tried.
    if (at instanceof AggregateError) return codeOf(at.errors[0]);
  }
  return undefined;
}

/** For a connection that the peer closed without a word. */
export function closedByPeer(): Error {
  return Object.assign(new Error('closed'), { code: 'ConnectionClosed' });
}
