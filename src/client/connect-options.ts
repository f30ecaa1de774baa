import type { HostPort } from '../protocol/addresses/address.ts';
import type { Json } from '../protocol/formats/data.ts';
import type { Fetch } from './connection/fetch-channel.ts';
import type { FindAgain } from './connection/reconnect.ts';
import type { FoundBroker } from './discovery/responders.ts';

export interface ConnectOptions {
  /**
   * Where the broker is, in one of three forms. `HOST` or `HOST:PORT`: IPv6 in brackets, default port 20443.
   * A broker that `discover` has found: the proof of its identity holds here too. A URL,
   * `https://HOST[:PORT][/PREFIX]`, default port 443: a broker behind a proxy or mounted in an app, for whose
   * certificate an authority must vouch.
   */
  readonly broker: string | HostPort | FoundBroker;
  /**
   * Presented with every call; default: none. It is sent only after the broker's identity has been checked.
   */
  readonly accessKey?: string | undefined;
  /**
   * Pins the broker's certificate: `sha256:HEX`, or the 64 hex digits. Default: trust on first use. Any other
   * proof of the identity (a URL's authorities, discovery) must hold as well.
   */
  readonly fingerprint?: string | undefined;
  /**
   * The broker's discovery key, with which the broker must prove its identity; default: none. With
   * `fingerprint`, both must hold. `known_brokers` is not used then. It cannot be combined with a URL: a
   * proxy has a certificate of its own, which the broker cannot prove.
   */
  readonly discoverKey?: string | undefined;
  /**
   * For a URL: the only authorities to trust, as one text in PEM or several, each with any number of
   * certificates. Default: those that the system trusts.
   */
  readonly ca?: string | readonly string[] | undefined;
  /**
   * For a URL: replaces the network, for example with `app.fetch` of an app that the broker is mounted in.
   * Each call passes it one `Request`. This function then decides about connections and their certificates.
   */
  readonly fetch?: Fetch | undefined;
  /**
   * Time limit of a call, connecting included, in milliseconds; default 10,000. Waiting calls have their own
   * limit.
   */
  readonly timeoutMs?: number;
  /** Time limit of the check of the broker's identity, in milliseconds; default: `timeoutMs`. */
  readonly settleMs?: number | undefined;
  /** How long to try again when the broker cannot be reached at first contact, in milliseconds; default 0. */
  readonly retryForMs?: number | undefined;
  /**
   * Finds the brokers that answer on the network. A waiting call that has lost its broker looks for it there
   * by its identity, and at its address. Default: only at its address, whose host name is resolved again.
   */
  readonly findAgain?: FindAgain | undefined;
  /**
   * The name by which open discovery has found the broker. The broker's identity is kept for this name too.
   * Another broker that answers for the name is then `identity_mismatch`, at any address.
   */
  readonly foundBy?: string | undefined;
  /**
   * File that keeps the identities met at first contact; default: the user's `known_brokers`. Not used for a
   * URL.
   */
  readonly knownBrokers?: string;
  /**
   * Called with one line at first contact, and when a waiting call loses its broker or finds it again.
   * Default: none.
   */
  readonly notify?: (line: string) => void;
  /** Called with every answer as it came, with its envelope. Default: none. */
  readonly onAnswer?: (answer: Json) => void;
}
