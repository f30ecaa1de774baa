import { runtime } from '#runtime';
import type { Hono } from 'hono';
import { networkInterfaces } from 'node:os';
import type { Config } from '../config/schema.ts';
import { formatAddress } from '../protocol/address.ts';
import { BrokerError } from '../protocol/errors.ts';
import type { Logger } from '../protocol/logger.ts';
import { reasonOf } from '../protocol/system-errors.ts';
import type { HttpServer } from '../runtime/runtime.ts';
import { type Certificate, loadCertificate } from './certificate.ts';
import type { KeyedDiscovery } from './discovery/keyed-discovery.ts';
import { MAX_BODY_BYTES } from './api/request.ts';
import { type Responder, startResponder } from './discovery/responder.ts';

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
  readonly address: BrokerAddress;
  /** PEM of the certificate they present. */
  readonly certificate: string;
  close(graceMs: number): Promise<void>;
}

interface ListenOptions {
  readonly app: Hono;
  readonly api: Config['api'];
  /** The configuration file, beside which the certificate is kept. */
  readonly file: string;
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
  const certificate = await loadCertificate(options.api, options.file, options.log);
  for (let attempt = 1; ; attempt++) {
    const server = await serve(options, certificate);
    options.discovery?.announce({ port: server.port, fingerprint: certificate.fingerprint });
    try {
      const responder = await respond(options, server.port);
      return combine(options, server, responder, certificate);
    } catch (error) {
      await server.close(0);
      if (options.api.listen_port !== 0 || attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

function combine(
  { api, discovery }: ListenOptions,
  server: HttpServer,
  responder: Responder,
  { cert, fingerprint }: Certificate,
): Listeners {
  const listenIp = api.listen_ip;
  const host = listenIp === '' || listenIp === '::' || listenIp === '0.0.0.0' ? ownAddress() : listenIp;
  return {
    address: {
      url: `https://${formatAddress({ host, port: server.port })}`,
      port: server.port,
      udpPort: responder.port,
      fingerprint,
      keyed: discovery !== undefined,
    },
    certificate: cert,
    async close(graceMs) {
      await responder.close();
      await server.close(graceMs);
    },
  };
}

async function serve({ app, api }: ListenOptions, { cert, key }: Certificate): Promise<HttpServer> {
  try {
    return await runtime.serve({
      hostname: api.listen_ip,
      port: api.listen_port,
      cert,
      key,
      maxBodyBytes: MAX_BODY_BYTES,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 30_000,
      fetch: (request, connection) => app.fetch(request, { connection }),
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
