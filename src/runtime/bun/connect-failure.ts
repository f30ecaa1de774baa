import { isIPv6 } from 'node:net';
import type { HostPort } from '../../protocol/addresses/address.ts';
import { codeOf } from '../network/connection-errors.ts';

/**
 * A host refuses a connection within one round trip; a missing host takes seconds. This is the limit in
 * milliseconds.
 */
const SLOW_MS = 900;

/**
 * Finds out why a connection failed. Bun reports every failure as a refusal, so this asks the routes: where
 * no route leads to the host, the system does not accept a datagram to it either. The datagram is empty, and
 * is sent only after a failure.
 */
export async function connectFailure(
  { host, port }: HostPort,
  error: unknown,
  tookMs: number,
): Promise<unknown> {
  if (codeOf(error) !== 'ECONNREFUSED' && codeOf(error) !== 'EINVAL') return error;
  const { openUdp, socketErrorName } = await import('../network/udp.ts');
  const family = isIPv6(host) ? 6 : 4;
  const sent = await openUdp({
    family,
    address: family === 6 ? '::' : '0.0.0.0',
    onMessage: () => undefined,
  })
    .then(async (socket) => {
      const failure = await socket.send(new Uint8Array(), { address: host, port });
      await socket.close();
      return failure;
    })
    .catch((failure: unknown) => failure);
  const name = sent === undefined ? undefined : socketErrorName(sent);
  if (name !== undefined && name !== 'ECONNREFUSED') return withCode(name, error);
  return tookMs > SLOW_MS ? withCode('EHOSTUNREACH', error) : error;
}

function withCode(code: string, cause: unknown): Error {
  return Object.assign(new Error(code, { cause }), { code });
}
