import type { HostPort } from '../protocol/addresses/address.ts';
import type { Json } from '../protocol/formats/data.ts';
import type { Fetch } from './connection/fetch-channel.ts';
import type { FindAgain } from './connection/reconnect.ts';
import type { FoundBroker } from './discovery/responders.ts';

export interface ConnectOptions {
  /**
   * Where the broker is. `HOST` or `HOST:PORT` (IPv6 in brackets; the port is 20443 unless given). Or what `discover` has
   * found: what was proved of it holds here too. Or a URL, `https://HOST[:PORT][/PREFIX]` (the port is 443 unless given), of
   * a broker behind a proxy or mounted in an app, whose certificate an authority must vouch for.
   */
  readonly broker: string | HostPort | FoundBroker;
  /** Presented with every call; default: none. It leaves only after the broker's identity has been checked. */
  readonly accessKey?: string | undefined;
  /**
   * Pins the broker's certificate: `sha256:HEX`, or the 64 hex digits. Default: trust on first use. With a URL, or a broker
   * that is proved otherwise, both must hold.
   */
  readonly fingerprint?: string | undefined;
  /**
   * The broker's discovery key, with which it must prove its identity; default: none. With `fingerprint`, both must hold.
   * `known_brokers` plays no part then. Not for a URL: a proxy has a certificate of its own, which the broker cannot prove.
   */
  readonly discoverKey?: string | undefined;
  /**
   * For a URL: the only authorities that count, one text in PEM or several, with any number of certificates each. Default:
   * those that the system trusts.
   */
  readonly ca?: string | readonly string[] | undefined;
  /**
   * For a URL: takes the place of the network, `app.fetch` of an app that the broker is mounted in, say. Each call hands it
   * one `Request`. That function then decides about connections and their certificates.
   */
  readonly fetch?: Fetch | undefined;
  /** Longest for a call, connecting included, in milliseconds; default 10,000. Waiting calls have their own limit. */
  readonly timeoutMs?: number;
  /** Longest to make sure of the broker's identity, in milliseconds; default: `timeoutMs`. */
  readonly settleMs?: number | undefined;
  /** How long to go on trying where the broker cannot be reached at first contact, in milliseconds; default 0. */
  readonly retryForMs?: number | undefined;
  /**
   * Finds the brokers that answer on the network. A waiting call that has lost its broker looks for it there, by its identity,
   * besides at its address. Default: only at its address, whose host name is looked up anew.
   */
  readonly findAgain?: FindAgain | undefined;
  /**
   * The name that found the broker by open discovery. Its identity is kept for the name too: another broker that answers for
   * the name is `identity_mismatch`, wherever it is.
   */
  readonly foundBy?: string | undefined;
  /** File that keeps the identities met at first contact; default: the user's `known_brokers`. A URL has none. */
  readonly knownBrokers?: string;
  /** Told of a first contact, and of a broker that is lost, or found again, while a call waits: one line. Default: nobody. */
  readonly notify?: (line: string) => void;
  /** Told of every answer as it came, envelope and all. Default: nobody. */
  readonly onAnswer?: (answer: Json) => void;
}
