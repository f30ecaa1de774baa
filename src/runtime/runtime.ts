import type { HostPort } from '../protocol/addresses/address.ts';
import type { ConnectionInfo } from '../protocol/connection.ts';
import type { BrokerError } from '../protocol/errors.ts';

/** Variables of the environment, by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The one interface between bpbroker and its runtime. `#runtime` (package.json `imports`) is the file of the
 * running one: `node.ts`, `bun.ts` or `deno.ts`. Each exports `runtime`, and code outside this folder never
 * asks which runtime it is.
 */
export interface Runtime {
  readonly name: 'node' | 'bun' | 'deno';
  /** Version of the runtime, such as `24.21.0`. */
  readonly version: string;
  /** Whether it can load TypeScript. */
  readonly runsTypeScript: boolean;
  /** The variables of this process. One whose bytes are not UTF-8 has U+FFFD in its value. */
  readonly environment: Environment;
  /**
   * Serves HTTPS until closed.
   * @throws the system's error (`EADDRINUSE`, `EACCES`) when it cannot listen.
   */
  serve(options: ServeOptions): Promise<HttpServer>;
  /** Returns headers in the form that costs the least when many answers share them. */
  sharedHeaders(headers: Readonly<Record<string, string>>): Record<string, string> | Headers;
  /**
   * `node:fs`, for functions that a client command rarely needs. Where loading it is slow, it is loaded on
   * the first call.
   */
  fs(): FileSystem;
  /**
   * The text of a small file.
   * @throws the system's error (`ENOENT`, `EACCES`).
   */
  readText(file: string): string;
  /**
   * Writes some of the bytes to standard output (1), and returns how many.
   * @throws the system's error when none was written.
   */
  write(fd: 1, bytes: Uint8Array): number;
  /**
   * Writes all bytes to standard error in the runtime's own way, which waits for no reader. It does not
   * throw.
   */
  writeErrorLater(bytes: Uint8Array, done: (isWritten: boolean) => void): void;
  /**
   * Writes the whole text to standard output.
   * @throws the system's error (`EPIPE`, `ENOSPC`).
   */
  print(text: string): Promise<void>;
  /**
   * Calls `action` once the reader of standard output has gone, where that is a pipe. It takes at most 200
   * ms, and writes nothing. It does not keep the process alive. Where the system does not report it (Windows;
   * Node on macOS; Deno without `--allow-ffi`), `action` is never called; the next write fails there.
   */
  onBrokenPipe(action: () => void): void;
  /** Ends the process at once. */
  exit(code: number): never;
  /**
   * The certificate that a broker presents; nothing is sent to it.
   * @throws BrokerError `unreachable`.
   */
  peerCertificate(address: HostPort, timeoutMs: number): Promise<PeerCertificate>;
  /**
   * Sends one request, without a secret, to an unverified peer. Returns the certificate of the connection
   * that carried it, too.
   * @throws BrokerError `unreachable`; any error of `accept`, before anything was sent.
   */
  exchange(address: HostPort, request: Exchange): Promise<ExchangeAnswer>;
  /**
   * Opens a channel to a broker. It checks the broker's certificate before it sends any byte of a request.
   */
  openChannel(options: ChannelOptions): Channel;
  /**
   * Opens a channel to a host on the web: an authority must have signed its certificate, and it gets no byte
   * of a request before `judge` has accepted it. The code for it is loaded with the first channel.
   */
  openHostChannel(options: HostChannelOptions): Promise<Channel>;
  /** `fetch` with authorities and a client certificate. The code for it is loaded with the first one. */
  openFetch(options: SecureFetchOptions): Promise<SecureFetch>;
  /**
   * The command that runs one of our own source files as a program on this runtime. Undefined within an
   * executable, which has no source files.
   */
  moduleCommand(file: string): readonly string[] | undefined;
  /** The command that starts this very program again, as its user has started it; arguments follow. */
  ownCommand(): readonly string[];
}

/** The kind of file behind a descriptor. */
export interface FileKind {
  readonly dev: number;
  readonly ino: number;
  isFile(): boolean;
  isFIFO(): boolean;
  isSocket(): boolean;
  isCharacterDevice(): boolean;
}

/**
 * The functions of `node:fs` that a client uses: to read a key, which may come through a pipe, to keep an
 * identity, and to write to standard error. They are spelt out, since the package's types must not need those
 * of Node.
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
  fsyncSync(fd: number): void;
  fchownSync(fd: number, uid: number, gid: number): void;
  closeSync(fd: number): void;
}

export interface ServeOptions {
  /** The IP address to listen on; `''` is every interface, IPv4 and IPv6. */
  readonly hostname: string;
  /** The TCP port; 0 picks a free one. */
  readonly port: number;
  /** PEM certificate, followed by its chain if there is one. */
  readonly cert: string;
  /** PEM private key. */
  readonly key: string;
  /** The longest body in bytes; a longer one is answered 413. */
  readonly maxBodyBytes: number;
  /** The time in milliseconds after which a client without complete headers is cut off. */
  readonly headersTimeoutMs: number;
  /** The time in milliseconds after which a client without a complete request is cut off. */
  readonly requestTimeoutMs: number;
  /** The time in milliseconds after which a client that reads nothing is cut off. Default: 30 s. */
  readonly unreadTimeoutMs?: number;
  /** The most open connections; more are refused. Default: no limit. */
  readonly maxConnections?: number;
  /**
   * The number of connections that count towards that limit besides: those of servers that are ending on the same
   * port. Default: none.
   */
  readonly otherConnections?: () => number;
  /**
   * The number of the process's descriptors that are no connections. A runtime that counts descriptors in place of
   * connections includes those of servers that are ending by itself. Default: as many as are open now.
   */
  readonly otherDescriptors?: number;
  fetch(request: Request, connection: ConnectionInfo): Response | Promise<Response>;
}

/** A server that {@link Runtime.serve} opened. */
export interface HttpServer {
  /** The port it listens on. */
  readonly port: number;
  /**
   * Whether it refuses connections, or has done so within the last minute, because it has reached its limit.
   */
  refusing(): boolean;
  /**
   * The number of open connections; undefined where the runtime does not say. Bun computes it from
   * descriptors, so it includes everything beyond `otherDescriptors`: also connections of
   * a server that is ending.
   */
  connections(): number | undefined;
  /**
   * Stops accepting, lets requests in progress finish for at most `graceMs` milliseconds, then ends every
   * other connection.
   */
  close(graceMs: number): Promise<void>;
}

/** The certificate that a broker must present. */
export interface Pin {
  /** SHA-256 of the certificate's DER form, 64 lower-case hex digits. */
  readonly fingerprint: string;
  /**
   * The certificate itself in PEM, where it is known: with it, a runtime need not read the system's
   * authorities.
   */
  readonly certificate?: string;
}

export interface ChannelOptions {
  readonly host: string;
  readonly port: number;
  readonly pin: Pin;
  /** The error to throw when the peer presents a certificate with this fingerprint instead. */
  mismatch(presented: string): BrokerError;
}

/** The trusted authorities, and the client certificate. */
export interface SecureFetchOptions {
  /** Certificates in PEM: the only trusted authorities. Default: those of the runtime. */
  readonly authorities?: readonly string[];
  /** The client's own certificate in PEM, with its chain if there is one. */
  readonly cert?: string;
  /** Its private key in PEM. */
  readonly key?: string;
}

/** A `fetch` with its own connections. */
export interface SecureFetch {
  fetch(url: string, init: RequestInit): Promise<Response>;
  /** Closes the kept connections. */
  close(): void;
}

/** A host that is identified by its name, with a certificate that an authority has signed. */
export interface HostChannelOptions {
  /** A host name or an IP address, for which the certificate must be valid. */
  readonly host: string;
  readonly port: number;
  /** Certificates in PEM: the only trusted authorities. */
  readonly authorities: readonly string[];
  /** Throws for a host that must not get the request. */
  judge(presented: HostCertificate): void;
}

/** The certificate that a host presented on a connection without any data yet. */
export interface HostCertificate extends PeerCertificate {
  /** Whether one of the authorities has signed it, for this host, and it is valid now. */
  readonly isVouchedFor: boolean;
}

/** The certificate that a peer presented in a TLS handshake. */
export interface PeerCertificate {
  /** SHA-256 of its DER form, 64 lower-case hex digits. */
  readonly fingerprint: string;
  /** PEM. */
  readonly certificate: string;
}

/** A request whose answer proves the identity of the peer. */
export interface Exchange {
  readonly path: string;
  /** The body of a POST. */
  readonly body: Uint8Array;
  /** The longest answer that is read, in bytes; a longer one counts as empty. */
  readonly maxBytes: number;
  /** The time for connection and answer together. */
  readonly timeoutMs: number;
  /** Throws for a certificate whose holder must not even get this request. */
  accept(fingerprint: string): void;
}

/** The answer to an exchange. */
export interface ExchangeAnswer {
  /** The certificate of the connection that carried the answer. */
  readonly certificate: PeerCertificate;
  readonly status: number;
  readonly body: Uint8Array;
}

/** A channel to one broker; connections are kept and used again. */
export interface Channel {
  /**
   * @throws BrokerError `options.mismatch(…)` when another certificate is presented, before anything was
   * sent; `unreachable` when the connection fails or breaks; the reason of an aborted `signal`.
   */
  request(request: ChannelRequest): Promise<ChannelResponse>;
  close(): void;
}

/** A request on a channel. */
export interface ChannelRequest {
  readonly method: string;
  /** The path with its query, such as `/services/Get`. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly signal?: AbortSignal;
}

/** The beginning of an answer on a channel. */
export interface ChannelResponse {
  readonly status: number;
  /** The value of a header, or undefined; names in lower case. */
  header(name: string): string | undefined;
  /**
   * The whole body as text.
   * @throws BrokerError `internal` for one longer than 16 MiB (`MAX_ANSWER_BYTES`).
   */
  text(): Promise<string>;
  /** The body as it arrives. */
  stream(): AsyncIterable<Uint8Array>;
}
