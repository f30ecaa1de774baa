import type { JsonObject } from '../protocol/formats/data.ts';
import type { Logger } from '../protocol/logger.ts';
import type { Module } from '../modules/module.ts';
import type { Limits } from './limits.ts';
import type { Extension, ExtensionKind } from './lookup.ts';
import type { Semaphore } from './semaphore.ts';

/** The parts of a broker that extensions use. */
export interface ExtensionsOptions {
  /** The extension directory; it need not exist. */
  readonly dir: string;
  /** The configuration: each module's object. */
  readonly config: Readonly<Record<string, JsonObject>>;
  /** The module `services`, through which extensions use the registry. */
  readonly services: Module;
  readonly log: Logger;
  /** Called with the duration of each call, in seconds; default: no call. */
  readonly onCall?: (seconds: number) => void;
  /**
   * The program that hosts scripts.
   * @throws BrokerError where there is none.
   */
  hostCommand(kind: Exclude<ExtensionKind, 'executable'>, config: JsonObject): readonly string[];
  /**
   * Allows one call of an executable to use the registry: variables for its environment, valid until
   * `revoke`.
   */
  grantAccess(): Access;
}

export interface Access {
  readonly env: Readonly<Record<string, string>>;
  revoke(): void;
}

/** An extension as it was last found, with its module. */
export interface LoadedExtension {
  readonly extension: Extension;
  readonly module: Module;
  /**
   * Ends its processes: at once, or when they have finished. Resolves when those that are to end at once have
   * ended, and what they printed is in the log.
   */
  retire(now: boolean): Promise<void>;
}

/** The parts of the module of an extension. */
export interface ModuleParts extends ExtensionsOptions {
  readonly extension: Extension;
  readonly limits: Limits;
  readonly semaphore: Semaphore;
  /** The module's own configuration, without its access key. */
  readonly ownConfig: JsonObject;
}

/** Starts something that later calls `release`. If it cannot be started, `release` is called at once. */
export function orRelease<T>(release: () => void, start: () => T): T {
  try {
    return start();
  } catch (error) {
    release();
    throw error;
  }
}
