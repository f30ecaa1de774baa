import { runtime } from '#runtime';
import { networkInterfaces } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../config/schema.ts';
import { formatAddress } from '../protocol/addresses/address.ts';
import { BrokerError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/logger.ts';
import { reasonOf } from '../protocol/system-errors.ts';
import { descriptorLimit, openDescriptors } from '../runtime/system/descriptors.ts';
import type { HttpServer, ServeOptions } from '../runtime/runtime.ts';
import { type Certificate, loadCertificate } from './certificate.ts';
import type { SharedRegistry } from './opening/broker-store.ts';
import type { KeyedDiscovery } from './discovery/keyed-discovery.ts';
import { MAX_BODY_BYTES } from '../api/requests/request.ts';
import {
  addStats,
  noStats,
  type Responder,
  type ResponderStats,
  startResponder,
} from './discovery/responder.ts';

/** Where a broker can be reached. */
export interface BrokerAddress {
  /** `https://HOST:PORT` */
  readonly url: string;
  /** TCP port of the API. */
  readonly port: number;
  /** UDP port of discovery. */
  readonly udpPort: number;
  /** SHA-256 of its certificate, 64 lower-case hex digits. */
  readonly fingerprint: string;
  /** Whether discovery answers only those who have its key. */
  readonly keyed: boolean;
}

/** The open doors of a broker: the API's server and discovery's responder, on one port number. */
export interface Listeners {
  /** As of now: the certificate may be another one after {@link renew}. */
  readonly address: BrokerAddress;
  /** PEM of the certificate they present. */
  readonly certificate: string;
  /** Takes over another certificate and another discovery, on the same ports; requests under way are finished. */
  renew(change: Renewal): Promise<void>;
  /** Why connections are refused now, or were within the last minute; nothing when none was. */
  refusing(): string | undefined;
  /** How many connections are open; nothing where the runtime does not tell. */
  connections(): number | undefined;
  /** What became of discovery's datagrams since the doors opened. */
  discovered(): ResponderStats;
  close(graceMs: number): Promise<void>;
}

export interface ListenOptions {
  /** Answers a request. */
  readonly fetch: ServeOptions['fetch'];
  readonly api: Config['api'];
  /** The configuration file, beside which the certificate is kept. */
  readonly file: string;
  /** Of a registry that other brokers serve too. */
  readonly shared: SharedRegistry | undefined;
  /** Whether the registry holds an entry. */
  has(name: string): Promise<boolean>;
  /** For a broker that has a discovery key. */
  readonly discovery: KeyedDiscovery | undefined;
  readonly log: Logger;
  /** As the responder's. */
  isOwn(datagram: Uint8Array): boolean;
}

/** How often a free port is looked for, when any will do, that TCP and UDP both have free. */
const PORT_ATTEMPTS = 20;

export async function listen(options: ListenOptions): Promise<Listeners> {
  const certificate = await loadCertificate(options.api, options.file, options.log, options.shared);
  for (let attempt = 1; ; attempt++) {
    const server = await serve(options, certificate);
    options.discovery?.announce({ port: server.port, fingerprint: certificate.fingerprint });
    try {
      const responder = await respond(options, server.port);
      return combine(options, { server, responder, certificate });
    } catch (error) {
      await server.close(0);
      if (options.api.listen_port !== 0 || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

/** What can change without another port. */
interface Renewal {
  readonly certificate: Certificate;
  readonly discovery: KeyedDiscovery | undefined;
}

interface Doors {
  server: HttpServer;
  responder: Responder;
  certificate: Certificate;
}

/** How long requests that an old certificate was used for may take. */
const RENEW_GRACE_MS = 5000;

function combine(options: ListenOptions, doors: Doors): Listeners {
  const { listen_ip: listenIp } = options.api;
  const host = listenIp === '' || listenIp === '::' || listenIp === '0.0.0.0' ? ownAddress() : listenIp;
  const { port } = doors.server;
  const closing: Promise<void>[] = [];
  let { discovery } = options;
  /** Of responders that have been closed. */
  let before = noStats;
  return {
    get address() {
      return {
        url: `https://${formatAddress({ host, port })}`,
        port,
        udpPort: doors.responder.port,
        fingerprint: doors.certificate.fingerprint,
        keyed: discovery !== undefined,
      };
    },
    get certificate() {
      return doors.certificate.cert;
    },
    async renew({ certificate, discovery: present }) {
      const next = { ...options, discovery: present, api: { ...options.api, listen_port: port } };
      if (certificate.cert !== doors.certificate.cert || certificate.key !== doors.certificate.key) {
        closing.push(doors.server.close(RENEW_GRACE_MS));
        doors.server = await serveAgain(next, certificate);
        doors.certificate = certificate;
      }
      present?.announce({ port, fingerprint: certificate.fingerprint });
      if (present === discovery) return;
      discovery = present;
      await doors.responder.close();
      before = addStats(before, doors.responder.stats());
      doors.responder = await respond(next, port);
    },
    refusing() {
      if (!doors.server.refusing()) return undefined;
      const limit = descriptorLimit();
      return `so many connections are open that more are refused, since the limit of open files is ${limit}: raise it (ulimit -n, LimitNOFILE= of the service)`;
    },
    connections: () => doors.server.connections(),
    discovered: () => addStats(before, doors.responder.stats()),
    async close(graceMs) {
      await doors.responder.close();
      await Promise.all([doors.server.close(graceMs), ...closing]);
    },
  };
}

const SERVE_ATTEMPTS = 40;
const SERVE_PAUSE_MS = 50;

/** The port is ours, but it may take a moment until the system has let go of it. */
async function serveAgain(options: ListenOptions, certificate: Certificate): Promise<HttpServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await serve(options, certificate);
    } catch (error) {
      if (attempt === SERVE_ATTEMPTS) throw error;
      await sleep(SERVE_PAUSE_MS);
    }
  }
}

/** Open files that are left for others than connections: at least so many, for journals, backups and a program or two. */
const MIN_RESERVE = 16;
const MAX_RESERVE = 1024;
/** Connections that are taken even so. */
const MIN_CONNECTIONS = 8;

/** How many connections may be open, of a process that may have `limit` open files and has `open` of them already. */
function connectionLimit(limit: number, open: number): number {
  const reserve = Math.min(Math.max(MIN_RESERVE, Math.floor(limit / 8)), MAX_RESERVE);
  return Math.max(MIN_CONNECTIONS, limit - open - reserve);
}

async function serve({ fetch, api }: ListenOptions, { cert, key }: Certificate): Promise<HttpServer> {
  try {
    return await runtime.serve({
      hostname: api.listen_ip,
      port: api.listen_port,
      cert,
      key,
      maxBodyBytes: MAX_BODY_BYTES,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 30_000,
      maxConnections: connectionLimit(descriptorLimit(), openDescriptors()),
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
