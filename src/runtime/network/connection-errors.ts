import { formatAddress, type HostPort } from '../../protocol/addresses/address.ts';
import { BrokerError, messageOf } from '../../protocol/errors.ts';

// The codes of the system in words, as Node, Bun and Deno report them.
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
  EAI_NONAME: 'no such host',
  DNS_ENOTFOUND: 'no such host',
  DNS_ENODATA: 'the host name has no address',
  ENODATA: 'the host name has no address',
  EAI_AGAIN: 'the host name could not be looked up',
  DNS_EAI_AGAIN: 'the host name could not be looked up',
  EAI_FAIL: 'the host name could not be looked up',
  DNS_ESERVFAIL: 'the host name could not be looked up',
  DNS_ETIMEOUT: 'the host name could not be looked up',
  DNS_ECONNREFUSED: 'the host name could not be looked up',
  EADDRNOTAVAIL: 'no such address',
  ENETDOWN: 'the network is down',
  EHOSTDOWN: 'the host is down',
  EACCES: 'not permitted (a firewall of this host, or a broadcast address)',
  EPERM: 'not permitted (a firewall of this host)',
  EAFNOSUPPORT: 'this host has no addresses of that family',
};

// The errors of the TLS libraries for an answer without TLS: BoringSSL, OpenSSL, rustls.
const noTls =
  /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|HTTPS_PROXY_REQUEST|UNEXPECTED_MESSAGE|UNKNOWN_PROTOCOL|wrong version number|packet length too long|http request|corrupt message|InvalidContentType|record overflow/i;

/** The `unreachable` error for a failed connection, in plain words where the system's code is known. */
export function unreachable(address: HostPort, error: unknown): BrokerError {
  if (error instanceof BrokerError) return error;
  const reason = reasonOf(error);
  return new BrokerError('unreachable', `No broker reached at ${formatAddress(address)}: ${reason}`, {
    cause: error,
  });
}

/**
 * Checks the zone of an address before the connection: each system has another error for a wrong zone, and
 * some have none that names it.
 * @throws BrokerError `unreachable`.
 */
export async function checkZone(address: HostPort): Promise<void> {
  const { host } = address;
  if (!host.includes(':')) return;
  const { interfaceNames, isLinkLocal, listInterfaces } = await import('./interfaces.ts');
  const [, zone] = host.split('%');
  const fail = (reason: string): never => {
    throw unreachable(address, new Error(reason));
  };
  if (zone === undefined) {
    if (isLinkLocal(host) && process.platform !== 'win32')
      fail('a link-local address needs the name of its interface, as in fe80::1%eth0');
    return;
  }
  const known = interfaceNames();
  if (/^\d+$/.test(zone) || [...known, ...listInterfaces().map((link) => link.zone)].includes(zone)) return;
  fail(`no interface is named '${zone}'; this host has ${known.join(', ') || 'none'}`);
}

/**
 * Why something on the network failed, for a list of failures: words and the code, as in `no such host
 * [ENOTFOUND]`. An error that the table does not have returns its own text.
 */
export function reasonWithCode(error: unknown): string {
  const code = codeOf(error) ?? '';
  const known = reasons[code];
  return known === undefined ? messageOf(error) : `${known} [${code}]`;
}

function reasonOf(error: unknown): string {
  const code = codeOf(error) ?? '';
  const known = reasons[code];
  if (known !== undefined) return known;
  const message = messageOf(error);
  if (noTls.test(code) || noTls.test(message)) return 'something answers there, but not with TLS';
  return message;
}

/** The system's code of an error or of its causes (Deno and fetch wrap theirs). */
export function codeOf(error: unknown): string | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    if (typeof code === 'string') return code;
    // A Happy Eyeballs failure has one error for each address.
    if (at instanceof AggregateError) return codeOf(at.errors[0]);
  }
  return undefined;
}

/** The error for a connection that the peer closed without an answer. */
export function closedByPeer(): Error {
  return Object.assign(new Error('closed'), { code: 'ConnectionClosed' });
}
