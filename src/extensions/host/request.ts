import type { Registry } from '../../client/registry/registry.ts';
import type { Json, JsonObject } from '../../protocol/formats/data.ts';

/** The argument of a method of a TypeScript or JavaScript extension (docs/extensions.md). */
export interface ExtensionRequest {
  /** The name of the method. */
  readonly method: string;
  /** The parameter `data`: an object where its text is the JSON of one, else the text; `null` without it. */
  readonly data: Json;
  /** All parameters unchanged; those of a query string or a form are text. */
  readonly params: JsonObject;
  /** IP address of the caller. */
  readonly clientAddress: string;
  /** The module's object in the broker's configuration, without its access key. */
  readonly config: JsonObject;
  /** Aborted when the caller has gone. */
  readonly signal: AbortSignal;
  /** Writes to the broker's log. */
  readonly log: ExtensionLog;
  /** The broker's registry; entries are written in the name of the caller. */
  readonly registry: Registry;
  /**
   * Runs `work` while no other call holds the lock of that name, in whatever process it runs. Locks of other
   * extensions are different ones. The lock is released in any case, at the latest when the call ends.
   */
  withLock<T>(name: string, work: () => Promise<T> | T): Promise<T>;
}

/** Writes lines to the broker's log, one for each call of a function. */
export interface ExtensionLog {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/**
 * The value that a method returns, or a promise of it. Text, bytes, or an iterator of either are sent as they
 * come. A `Response` sets status, content type and body. Any other value is sent as JSON, `undefined` as
 * nothing. An error that it throws fails the call with its message. A `status` on it, 400 to 599, is the
 * answer's.
 */
export type ExtensionAnswer =
  | string
  | Uint8Array
  | AsyncIterable<string | Uint8Array>
  | Iterator<string | Uint8Array>
  | Response
  | Json
  | undefined;

/** A method of an extension: an exported function. */
export type ExtensionMethod = (request: ExtensionRequest) => ExtensionAnswer | Promise<ExtensionAnswer>;
