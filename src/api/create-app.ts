import type { Hono } from 'hono';
import { mergeLayers } from '../config/layers.ts';
import { isModuleKey } from '../config/schema.ts';
import { builtIn, checkOwnModules } from '../modules/built-in.ts';
import type { Module } from '../modules/module.ts';
import { BrokerError } from '../protocol/errors.ts';
import { harmless, type Logger, silentLogger } from '../protocol/logger.ts';
import type { Store } from '../store/store.ts';
import { createApi, type ModuleOptions } from './api.ts';
import type { ClientAddress } from './connection.ts';

export interface CreateAppOptions {
  /** Where the registry is, such as `memoryStore()` of `bpbroker/store`. Whoever made it closes it. */
  readonly store: Store;
  /**
   * Options of modules, by name, in the shape of the configuration file: `{ services: { _access_key: 'secret' } }`. A key here
   * is what lets a module be called. Default: `ping` and `services`, without access keys.
   */
  readonly config?: ModuleOptions;
  /** Modules of your own by name; each becomes callable through its key in `config`. */
  readonly modules?: Readonly<Record<string, Module>>;
  /** Where to say what happens; default: nowhere. */
  readonly log?: Logger;
  /**
   * Tells the IP address of the client, for `last_write_ip` and the limits by source. Default: what the server tells (`Bun.serve`,
   * `Deno.serve`, @hono/node-server, AWS Lambda); else `''`, and the limits by source hold nobody. Behind a proxy it is the
   * proxy's: give the header that your own proxy sets, and no client can.
   */
  readonly clientAddress?: ClientAddress;
  /** Aborted when the app is to end its long polls and event streams; default: never. */
  readonly signal?: AbortSignal;
}

/**
 * The API as a Hono app (contract, section 5) that needs no files, sockets or processes: it runs wherever Hono has an adapter,
 * and mounts in another app under any path. It has no discovery and no extensions: those are of `createBroker`.
 *
 * @throws BrokerError `invalid_config` for an option that is missing, wrong, or has no meaning here.
 * @example
 * ```ts
 * import { createApp } from 'bpbroker/app';
 * import { memoryStore } from 'bpbroker/store';
 * const app = createApp({ store: memoryStore(), config: { services: { _access_key: 'secret' } } });
 * const answer = await app.request('/ping/Ping?data=hello'); // or serve app.fetch
 * console.log(await answer.json());
 * ```
 */
export function createApp(options: CreateAppOptions): Hono {
  const { store, config = {}, modules = {}, log = silentLogger, clientAddress, signal } = options;
  if (typeof (store as Partial<Store> | undefined)?.mutate !== 'function') {
    throw new BrokerError(
      'invalid_config',
      "createApp: the option 'store' is missing, or no store; give one, such as memoryStore() of 'bpbroker/store'",
    );
  }
  const stray = Object.keys(config).find((key) => !isModuleKey(key));
  if (stray !== undefined) {
    throw new BrokerError(
      'invalid_config',
      `createApp: the option 'config.${stray}' has no meaning here: an app has modules alone, and createBroker has the rest`,
    );
  }
  checkOwnModules(modules);
  const { effective } = mergeLayers({ options: config }, 'createApp: config');
  return createApi({
    config: effective,
    modules: new Map(Object.entries({ ...modules, ...builtIn(store) })),
    log: harmless(log),
    clientAddress,
    closing: signal ?? new AbortController().signal,
    readiness() {
      const { writable, reason, usage } = store.health();
      const size = usage && { bytes: usage.bytes, max_bytes: usage.maxBytes };
      return {
        ready: writable,
        checks: { registry: { ok: writable, ...(reason === undefined ? {} : { reason }), ...size } },
      };
    },
  }).app;
}
