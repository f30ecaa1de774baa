import type { Registry } from '../../client/registry/registry.ts';
import type { Json, JsonObject } from '../../protocol/formats/data.ts';

/** What a method of a TypeScript or JavaScript extension is called with (docs/extensions.md). */
export interface ExtensionRequest {
  /** The name of the method. */
  readonly method: string;
  /** The parameter `data`: an object where its text is the JSON of one, else the text; `null` where there is none. */
  readonly data: Json;
  /** All parameters as they came: of a query string or a form, text alone. */
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
   * Runs `work` while no other call holds the lock of that name, whichever process it runs in. The lock is the
   * extension's own; it is given back in any case, at the latest when the call ends.
   */
  withLock<T>(name: string, work: () => Promise<T> | T): Promise<T>;
}

export interface ExtensionLog {
  debug(message: string): void;
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/**
 * What a method may return, or a promise of it: text, bytes, an iterator of either (sent as they come), a `Response`
 * with status, content type and body of your own; any other value is sent as JSON, `undefined` as nothing.
 * An error that it throws fails the call with its message; a `status` on it, 400 to 599, is the answer's.
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
