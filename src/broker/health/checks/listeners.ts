import { runtime } from '#runtime';
import { formatAddress } from '../../../protocol/addresses/address.ts';
import { BrokerError, messageOf } from '../../../protocol/errors.ts';
import { listInterfaces } from '../../../runtime/network/interfaces.ts';
import type { Finding } from '../../../api/readiness.ts';
import type { BrokerAddress } from '../../listeners.ts';
import { noAnswer, type SelfQuery } from './self-query.ts';

/** This is long, since a broker under load is not dead. */
const ASK_MS = 4000;

interface CheckOptions {
  /** The longest wait for an answer, in milliseconds; default 4000. */
  readonly askMs?: number;
  /** Whether it may refuse this connection too, because it has reached its limit; default: never. */
  readonly mayRefuse?: () => boolean;
}

/** Tests the broker's own ports like a client: with a request over TLS, and a datagram. */
export async function checkListeners(
  address: BrokerAddress,
  listenIp: string,
  selfQuery: SelfQuery,
  { askMs = ASK_MS, mayRefuse = () => false }: CheckOptions = {},
): Promise<Finding> {
  const hosts = hostsFor(listenIp);
  const [tcp, udp] = await Promise.all([
    firstProblem(hosts, (host) => askTcp(host, address, askMs)),
    firstProblem(hosts, (host) => selfQuery.ask(host, address.udpPort, askMs)),
  ]);
  const problems = [tcp && !mayRefuse() && `TCP: ${tcp}`, udp && `UDP: ${udp}`].filter(
    (problem) => typeof problem === 'string',
  );
  return problems.length === 0 ? { ok: true } : { ok: false, reason: problems.join('; ') };
}

/**
 * The addresses of the broker on its own host, one of which must answer. Loopback may be off in containers.
 */
function hostsFor(listenIp: string): string[] {
  if (!['', '::', '0.0.0.0'].includes(listenIp)) return [listenIp];
  const links = listInterfaces().filter(({ loopback }) => !loopback);
  const own4 = links.flatMap(({ ipv4 }) => ipv4.map(({ address }) => address));
  return ['127.0.0.1', ...(listenIp === '0.0.0.0' ? [] : ['::1']), ...own4.slice(0, 1)];
}

/**
 * Undefined once one of the hosts answers, else the error of the first one. After a silent host, no other one
 * is tried.
 */
async function firstProblem(
  hosts: readonly string[],
  ask: (host: string) => Promise<void>,
): Promise<string | undefined> {
  let problem: string | undefined;
  for (const host of hosts) {
    try {
      await ask(host);
      return undefined;
    } catch (error) {
      problem ??= `${messageOf(error)} (${host})`;
      if ((error as { code?: unknown }).code === 'NO_ANSWER') break;
    }
  }
  return problem;
}

async function askTcp(host: string, { port, fingerprint }: BrokerAddress, ms: number): Promise<void> {
  const channel = runtime.openChannel({
    host,
    port,
    pin: { fingerprint },
    mismatch: (presented) =>
      new BrokerError(
        'identity_mismatch',
        `${formatAddress({ host, port })} presents another certificate, sha256:${presented}`,
      ),
  });
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(noAnswer(ms)), ms);
  try {
    const response = await channel.request({
      method: 'GET',
      path: '/healthz',
      headers: {},
      signal: limit.signal,
    });
    await response.text();
    if (response.status !== 200) throw new Error(`/healthz answers ${response.status}`);
  } finally {
    clearTimeout(timer);
    channel.close();
  }
}
