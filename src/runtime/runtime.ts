import type { HostPort } from '../protocol/addresses/address.ts';
import type { ConnectionInfo } from '../protocol/connection.ts';
import type { BrokerError } from '../protocol/errors.ts';

/**
 * The one seam between bpbroker and the runtime it is on. `#runtime` (package.json `imports`) is the file of the running
 * one: `node.ts`, `bun.ts` or `deno.ts`. Each exports `runtime`, and nothing outside this folder asks which it is.
 */
export interface Runtime {
  readonly name: 'node' | 'bun' | 'deno';
  /** Version of the runtime, such as `24.21.0`. */
  readonly version: string;
  /** Whether it loads TypeScript as it is. */
  readonly runsTypeScript: boolean;
  /** Serves HTTPS until closed. Rejects with the system's error (`EADDRINUSE`, `EACCES`) when it cannot listen. */
  serve(options: ServeOptions): Promise<HttpServer>;
  /** Headers in the form in which answers that share them cost the least. */
  sharedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> | Headers;
  /** `node:fs`, for what a client command does not always need: where loading it takes time, it is loaded when asked for. */
  fs(): FileSystem;
  /** The text of a small file. Throws the system's error (`ENOENT`, `EACCES`). */
  readText(file: string): string;
  /** Writes some of the bytes to standard output (1), and says how many. Throws the system's error; none then. */
  write(fd: 1, bytes: Uint8Array): number;
  /** Writes all of the bytes to standard error in the runtime's own way that waits for no reader. It does not throw. */
  writeErrorLater(bytes: Uint8Array, done: (isWritten: boolean) => void): void;
  /** Writes a text to standard output, wholly. Rejects with the system's error (`EPIPE`, `ENOSPC`). */
  print(text: string): Promise<void>;
  /**
   * Calls `action` once the reader of standard output has gone, where that is a pipe, within 200 ms and without anything being
   * written to it. To wait for that does not keep the process alive. Where the system does not tell (Windows; Node on macOS; Deno
   * without `--allow-ffi`) it is never called: there the next write fails.
   */
  onReaderGone(action: () => void): void;
  /** Ends the process at once. */
  exit(code: number): never;
  /** The certificate that a broker presents; nothing is sent to it. Throws `unreachable`. */
  peerCertificate(address: HostPort, timeoutMs: number): Promise<PeerCertificate>;
  /**
   * Sends one request to whoever answers at an address, before it is known who that is: for what is no secret. Says which
   * certificate was presented on the very connection that carried it.
   * @throws BrokerError `unreachable`; what `accept` throws, with nothing sent.
   */
  exchange(address: HostPort, request: Exchange): Promise<ExchangeAnswer>;
  /** Opens a channel to a broker on which no byte of a request is sent before its certificate has been checked. */
  openChannel(options: ChannelOptions): Channel;
  /**
   * Opens a channel to a site on the web: one whose certificate an authority must vouch for, and that sees no byte of a
   * request before `judge` has passed it. What only this needs is loaded with the first.
   */
  openSite(options: SiteOptions): Promise<Channel>;
  /** `fetch` with authorities and your own client certificate. What only this needs is loaded with the first. */
  openFetch(options: SecureFetchOptions): Promise<SecureFetch>;
  /**
   * The command that runs one of our own source files as a program, on this runtime. Nothing within an executable, whose
   * sources are no files.
   */
  moduleCommand(file: string): readonly string[] | undefined;
  /** The command that starts this very program anew, as its user has started it; arguments are to follow. */
  ownCommand(): readonly string[];
}

/** What a descriptor leads to. */
export interface FileKind {
  readonly dev: number;
  readonly ino: number;
  isFile(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
  isCharacterDevice(): boolean;
}

/**
 * What a client needs of `node:fs`: to read a key, which may come through a pipe, to keep an identity, and to write to
 * standard error. Spelt out, since the package's types must not need those of Node.
 */
export interface FileSystem {
  readonly constants: { readonly O_WRONLY: number; readonly O_NONBLOCK: number; readonly O_NOCTTY: number };
  fstatSync(fd: number): FileKind;
  openSync(file: string, flags: number): number;
  writeSync(fd: number, bytes: Uint8Array): number;
  readFileSync(file: string): Uint8Array;
  readFileSync(file: string, encoding: 'utf8'): string;
  mkdirSync(dir: string, options: { recursive: true; mode: number }): unknown;
  realpathSync(file: string): string;
  renameSync(from: string, to: string): void;
  rmSync(file: string, options: { force: true }): void;
  statSync(file: string): { readonly mtimeMs: number; readonly uid: number; readonly gid: number };
  openSync(file: string, flags: string, mode: number): number;
  writeSync(fd: number, text: string): number;
  fsyncSync(fd: number): void;
  fchownSync(fd: number, uid: number, gid: number): void;
  closeSync(fd: number): void;
}

export interface ServeOptions {
  /** IP address to listen on; `''` is every interface, IPv4 and IPv6. */
  readonly hostname: string;
  /** TCP port; 0 picks a free one. */
  readonly port: number;
  /** PEM certificate, followed by its chain if there is one. */
  readonly cert: string;
  /** PEM private key. */
  readonly key: string;
  /** Longest body in bytes; a longer one is answered 413. */
  readonly maxBodyBytes: number;
  /** A client that has not sent its headers by then is cut off. */
  readonly headersTimeoutMs: number;
  /** A client that has not sent its whole request by then is cut off. */
  readonly requestTimeoutMs: number;
  /** A client that reads nothing of what waits for it is cut off after so long. Default: 30 s. */
  readonly unreadTimeoutMs?: number;
  /** How many connections may be open; more are refused. Default: no limit. */
  readonly maxConnections?: number;
  fetch(request: Request, connection: ConnectionInfo): Response | Promise<Response>;
}

export interface HttpServer {
  /** The port it listens on. */
  readonly port: number;
  /** Whether it refuses connections, or has done so within the last minute, because as many as may be are open. */
  refusing(): boolean;
  /**
   * How many connections are open; nothing where the runtime does not say. On Bun it is derived from descriptors, so whatever else
   * the process has opened since it began to listen is in it.
   */
  connections(): number | undefined;
  /** Stops accepting, lets requests under way finish for at most `graceMs`, then ends every connection that is left. */
  close(graceMs: number): Promise<void>;
}

/** Which certificate a broker must present. */
export interface Pin {
  /** SHA-256 of the certificate's DER form, 64 lower-case hex digits. */
  readonly fingerprint: string;
  /** The certificate itself in PEM, where it is known: with it, a runtime need not read the system's authorities. */
  readonly certificate?: string;
}

export interface ChannelOptions {
  readonly host: string;
  readonly port: number;
  readonly pin: Pin;
  /** The error to throw when the peer presents the certificate with this fingerprint instead. */
  mismatch(presented: string): BrokerError;
}

/** Which authorities are believed, and which certificate is presented. */
export interface SecureFetchOptions {
  /** Certificates in PEM: the only authorities that count. Default: those of the runtime. */
  readonly authorities?: readonly string[];
  /** The client's own certificate in PEM, with its chain if there is one. */
  readonly cert?: string;
  /** Its private key in PEM. */
  readonly key?: string;
}

export interface SecureFetch {
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Lets go of the connections that are kept. */
  close(): void;
}

/** A site that is known by its name, and its certificate by those who signed it. */
export interface SiteOptions {
  /** A host name or an IP address, which the certificate must be for. */
  readonly host: string;
  readonly port: number;
  /** Certificates in PEM: the only authorities that count. */
  readonly authorities: readonly string[];
  /** Throws for a site that must not get the request. */
  judge(presented: SiteCertificate): void;
}

/** What a site presented on a connection that carries nothing yet. */
export interface SiteCertificate extends PeerCertificate {
  /** Whether one of the authorities vouches for it, for this host, and now. */
  readonly isVouchedFor: boolean;
}

/** What a peer presented in a TLS handshake that was then given up. */
export interface PeerCertificate {
  /** SHA-256 of its DER form, 64 lower-case hex digits. */
  readonly fingerprint: string;
  /** PEM. */
  readonly certificate: string;
}

/** A request that proves who answers it. */
export interface Exchange {
  readonly path: string;
  /** Sent as the body of a POST. */
  readonly body: Uint8Array;
  /** Longest answer that is read; a longer one counts as empty. */
  readonly maxBytes: number;
  /** For connecting and answer together. */
  readonly timeoutMs: number;
  /** Throws for a certificate whose holder must not even get this request. */
  accept(fingerprint: string): void;
}

export interface ExchangeAnswer {
  /** Of the connection that the answer came on. */
  readonly certificate: PeerCertificate;
  readonly status: number;
  readonly body: Uint8Array;
}

/** A channel to one broker; connections are kept and used again. */
export interface Channel {
  /**
   * @throws BrokerError `options.mismatch(…)` when another certificate is presented: nothing was sent;
   *   `unreachable` when no connection comes about or it breaks. An aborted `signal` throws its reason.
   */
  request(request: ChannelRequest): Promise<ChannelResponse>;
  close(): void;
}

export interface ChannelRequest {
  readonly method: string;
  /** Path with query, such as `/services/Get`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

export interface ChannelResponse {
  readonly status: number;
  /** The value of a header, or nothing; names in lower case. */
  header(name: string): string | undefined;
  /** The whole body as text. Throws BrokerError `internal` for one longer than 16 MiB (`MAX_ANSWER_BYTES`). */
  text(): Promise<string>;
  /** The body as it arrives. */
  stream(): AsyncIterable<Uint8Array>;
}
