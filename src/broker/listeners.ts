import { runtime } from '#runtime';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/schema.ts';
import { formatAddress } from '../protocol/addresses/address.ts';
import { BrokerError, messageOf } from '../protocol/errors.ts';
import type { Logger } from '../protocol/logger.ts';
import { reasonOf } from '../protocol/system-errors.ts';
import { descriptorLimit, openDescriptors } from '../runtime/system/descriptors.ts';
import type { HttpServer, ServeOptions } from '../runtime/runtime.ts';
import { type Certificate, loadCertificate } from './certificate.ts';
import type { SharedRegistry } from './opening/broker-store.ts';
import type { KeyedDiscovery } from './discovery/keyed-discovery.ts';
import { MAX_BODY_BYTES } from '../api/requests/request-parameters.ts';
import {
  addStats,
  noStats,
  type Responder,
  type ResponderStats,
  startResponder,
} from './discovery/responder.ts';

/** The addresses of a broker. */
export interface BrokerAddress {
  /** `https://HOST:PORT` */
  readonly url: string;
  /** TCP port of the API. */
  readonly port: number;
  /** UDP port of discovery. */
  readonly udpPort: number;
  /** SHA-256 of its certificate, 64 lower-case hex digits. */
  readonly fingerprint: string;
  /** Whether discovery answers only clients that have its key. */
  readonly keyed: boolean;
}

/** The open ports of a broker: the API's server and discovery's responder, on one port number. */
export interface Listeners {
  /** The present address: {@link renew} may change the certificate. */
  readonly address: BrokerAddress;
  /** The PEM of the presented certificate. */
  readonly certificate: string;
  /**
   * Takes over another certificate and another discovery, on the same ports; requests in progress are
   * finished. Where one of them cannot be used, the former ones are opened again.
   * @throws BrokerError `unavailable` when a port cannot be opened again.
   */
  renew(change: Renewal): Promise<void>;
  /** Why connections are refused now, or were within the last minute; undefined when none was. */
  refusing(): string | undefined;
  /** The number of open connections; undefined where the runtime does not say. */
  connections(): number | undefined;
  /** The numbers of discovery's datagrams by outcome, since the ports opened. */
  discovered(): ResponderStats;
  close(graceMs: number): Promise<void>;
}

export interface ListenOptions {
  /** Answers a request. */
  readonly fetch: ServeOptions['fetch'];
  readonly api: Config['api'];
  /** The configuration file, beside which the certificate is kept. */
  readonly file: string;
  /** The shared part of a registry that other brokers serve too. */
  readonly shared: SharedRegistry | undefined;
  /** Whether the registry holds an entry. */
  has(name: string): Promise<boolean>;
  /** Keyed discovery, for a broker with a discovery key. */
  readonly discovery: KeyedDiscovery | undefined;
  readonly log: Logger;
  /** As in the responder's options. */
  isOwn(datagram: Uint8Array): boolean;
}

/** The attempts to find a port that is free for both TCP and UDP, where any port will do. */
const PORT_ATTEMPTS = 20;

/**
 * Opens the API's server (TCP) and discovery's sockets (UDP) on one port number.
 * @throws BrokerError `unavailable` when a port is taken or may not be opened; `invalid_config` for a bad certificate.
 */
export async function listen(options: ListenOptions): Promise<Listeners> {
  const certificate = await loadCertificate(options.api, options.file, options.log, options.shared);
  const limits = connectionLimits();
  for (let attempt = 1; ; attempt++) {
    const server = await serve(options, certificate, limits);
    options.discovery?.announce({ port: server.port, fingerprint: certificate.fingerprint });
    try {
      const responder = await respond(options, server.port);
      return combine(options, { server, responder, certificate }, limits);
    } catch (error) {
      await server.close(0);
      if (options.api.listen_port !== 0 || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

/** The parts that can change without another port. */
interface Renewal {
  readonly certificate: Certificate;
  readonly discovery: KeyedDiscovery | undefined;
}

/** A part is undefined while it is closed: between two of them, and after one that could not be opened. */
interface Doors {
  server: HttpServer | undefined;
  responder: Responder | undefined;
  certificate: Certificate;
}

/** The limits of a server, for its whole life and that of those after it. */
type ConnectionLimits = Pick<ServeOptions, 'maxConnections' | 'otherDescriptors' | 'otherConnections'>;

/** How long requests under an old certificate may take, in milliseconds. */
const RENEW_GRACE_MS = 5000;

function combine(
  options: ListenOptions,
  opened: Doors & { readonly server: HttpServer },
  limits: ConnectionLimits,
): Listeners {
  const { port } = opened.server;
  const { listen_ip: listenIp } = options.api;
  const host = listenIp === '' || listenIp === '::' || listenIp === '0.0.0.0' ? ownAddress() : listenIp;
  const doors: Doors = { ...opened };
  /** The servers that finish their requests, with their ends. */
  const ending = new Map<HttpServer, Promise<void>>();
  let { discovery } = options;
  /** The numbers of responders that have been closed. */
  let before = noStats;

  async function answerBy(present: KeyedDiscovery | undefined, next: ListenOptions): Promise<void> {
    if (doors.responder && present === discovery) return;
    const former = doors.responder;
    doors.responder = undefined;
    await former?.close();
    before = addStats(before, former?.stats() ?? noStats);
    doors.responder = await respond(next, port);
    discovery = present;
  }

  function end(): void {
    const { server } = doors;
    if (!server) return;
    doors.server = undefined;
    ending.set(
      server,
      server.close(RENEW_GRACE_MS).finally(() => ending.delete(server)),
    );
  }

  function otherConnections(): number {
    let count = 0;
    for (const server of ending.keys()) count += server.connections() ?? 0;
    return count;
  }

  async function serveWith(certificate: Certificate, next: ListenOptions): Promise<void> {
    const { cert, key } = doors.certificate;
    if (doors.server && certificate.cert === cert && certificate.key === key) return;
    end();
    doors.server = await serveAgain(next, certificate, { ...limits, otherConnections });
    doors.certificate = certificate;
  }

  /** Opens what differs, and what an earlier failure has left closed. */
  async function change({ certificate, discovery: present }: Renewal): Promise<void> {
    const next = { ...options, discovery: present, api: { ...options.api, listen_port: port } };
    // Discovery first: it announces nothing before the server presents the certificate.
    await answerBy(present, next);
    await serveWith(certificate, next);
    present?.announce({ port, fingerprint: certificate.fingerprint });
  }

  return {
    get address() {
      return {
        url: `https://${formatAddress({ host, port })}`,
        port,
        udpPort: port,
        fingerprint: doors.certificate.fingerprint,
        keyed: discovery !== undefined,
      };
    },
    get certificate() {
      return doors.certificate.cert;
    },
    async renew(renewal) {
      const former = { certificate: doors.certificate, discovery };
      try {
        await change(renewal);
      } catch (error) {
        await change(former).catch((again: unknown) =>
          options.log.error('a port stays closed until the next reload', { error: messageOf(again) }),
        );
        throw error;
      }
    },
    refusing() {
      if (!doors.server?.refusing()) return undefined;
      const limit = descriptorLimit();
      return `so many connections are open that more are refused, since the limit of open files is ${limit}: raise it (ulimit -n, LimitNOFILE= of the service)`;
    },
    connections: () => doors.server?.connections(),
    discovered: () => addStats(before, doors.responder?.stats() ?? noStats),
    async close(graceMs) {
      await doors.responder?.close();
      await Promise.all([doors.server?.close(graceMs), ...ending.values()]);
    },
  };
}

const SERVE_ATTEMPTS = 40;
const SERVE_PAUSE_MS = 50;

/** The port is ours, but the system may take a moment to release it. */
async function serveAgain(
  options: ListenOptions,
  certificate: Certificate,
  limits: ConnectionLimits,
): Promise<HttpServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await serve(options, certificate, limits);
    } catch (error) {
      if (attempt === SERVE_ATTEMPTS) throw error;
      await sleep(SERVE_PAUSE_MS);
    }
  }
}

/** The least number of open files that connections leave for journals, backups and a program or two. */
const MIN_RESERVE = 16;
const MAX_RESERVE = 1024;
/** The number of connections that are accepted in any case. */
const MIN_CONNECTIONS = 8;

/**
 * The limits of a process that has no connections yet: what is open later may be connections, which a server after
 * a reload must not subtract.
 */
function connectionLimits(): ConnectionLimits {
  const limit = descriptorLimit();
  const open = openDescriptors();
  const reserve = Math.min(Math.max(MIN_RESERVE, Math.floor(limit / 8)), MAX_RESERVE);
  return { maxConnections: Math.max(MIN_CONNECTIONS, limit - open - reserve), otherDescriptors: open };
}

async function serve(
  { fetch, api }: ListenOptions,
  { cert, key }: Certificate,
  limits: ConnectionLimits,
): Promise<HttpServer> {
  try {
    return await runtime.serve({
      hostname: api.listen_ip,
      port: api.listen_port,
      cert,
      key,
      maxBodyBytes: MAX_BODY_BYTES,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 30_000,
      ...limits,
      fetch,
    });
  } catch (error) {
    throw cannotListen('TCP', api, api.listen_port, error);
  }
}

async function respond(options: ListenOptions, port: number): Promise<Responder> {
  const { api, has, discovery, isOwn, log } = options;
  try {
    const form = discovery ? { form: discovery.form } : {};
    return await startResponder({ listenIp: api.listen_ip, port, has, isOwn, log, ...form });
  } catch (error) {
    throw cannotListen('UDP', api, port, error);
  }
}

function cannotListen(
  protocol: string,
  { listen_ip: ip }: Config['api'],
  port: number,
  error: unknown,
): BrokerError {
  const reason = reasonOf(error, {
    EADDRINUSE: 'stop the other program, or choose another with --listen-port',
    EACCES: 'ports below 1024 need privileges; choose another with --listen-port',
    EADDRNOTAVAIL: 'give one of its own with --listen-ip, or none for all',
  });
  const where = formatAddress({ host: ip === '' ? '*' : ip, port });
  return new BrokerError('unavailable', `Cannot listen on ${where} (${protocol}): ${reason}`, {
    cause: error,
  });
}

/** The address at which other hosts most likely reach this one. */
function ownAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}
