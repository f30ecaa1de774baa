import type { JsonObject } from '../protocol/formats/data.ts';
import type { Logger } from '../protocol/logger.ts';
import type { Module } from '../modules/module.ts';
import type { Limits } from './limits.ts';
import type { Extension, ExtensionKind } from './lookup.ts';
import type { Semaphore } from './semaphore.ts';

/** What extensions need of their broker. */
export interface ExtensionsOptions {
  /** The extension directory; it need not exist. */
  readonly dir: string;
  /** The configuration: each module's object. */
  readonly config: Readonly<Record<string, JsonObject>>;
  /** The module `services`, through which extensions use the registry. */
  readonly services: Module;
  readonly log: Logger;
  /** Told how long each call ran, in seconds; default: nobody is. */
  readonly onCall?: (seconds: number) => void;
  /** The program that hosts scripts. Throws a BrokerError where there is none. */
  hostCommand(kind: Exclude<ExtensionKind, 'executable'>, config: JsonObject): readonly string[];
  /** Lets one call of an executable use the registry: variables for its environment, valid until `revoke`. */
  grantAccess(): Access;
}

export interface Access {
  readonly env: Readonly<Record<string, string>>;
  revoke(): void;
}

/** An extension as it was last found, and what has been made for it. */
export interface LoadedExtension {
  readonly extension: Extension;
  readonly module: Module;
  /** Ends its processes: at once, or when they have finished. */
  retire(now: boolean): void;
}

/** What a module is made of, for an extension that was found. */
export interface Parts extends ExtensionsOptions {
  readonly extension: Extension;
  readonly limits: Limits;
  readonly turns: Semaphore;
  /** The module's own configuration, without its access key. */
  readonly ownConfig: JsonObject;
}

/** Starts something that ends with the turn it was given, which must not be lost where it cannot be started. */
export function orRelease<T>(release: () => void, start: () => T): T {
  try {
    return start();
  } catch (error) {
    release();
    throw error;
  }
}
