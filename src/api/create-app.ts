import type { Hono } from 'hono';
import { mergeLayers } from '../config/layers.ts';
import { programConfig } from '../config/program-config.ts';
import { isModuleKey, METRICS_SECTION, type ModuleConfig } from '../config/schema.ts';
import { builtIn, checkOwnModules } from '../modules/built-in.ts';
import type { Module } from '../modules/module.ts';
import { BrokerError } from '../protocol/errors.ts';
import { createEnding, type Ending } from '../protocol/ending.ts';
import { isObject } from '../protocol/formats/data.ts';
import { harmless, isLogger, type Logger, silentLogger } from '../protocol/logger.ts';
import {
  checkOptions,
  hasFunctions,
  isFunction,
  isSignal,
  isText,
  type OptionRules,
} from '../protocol/options.ts';
import type { Store } from '../store/store.ts';
import { createApi } from './api.ts';
import { createAudit, noSink } from './audit/audit.ts';
import { auditedServices } from './audit/audited-services.ts';
import { createFunctionSink } from './audit/function-sink.ts';
import type { AuditRecord } from './audit/record.ts';
import type { ClientAddress } from './access/connection.ts';
import { createMeasures } from './metrics/measures.ts';

/** The members of {@link AppConfig} that are not modules, and those that an app does not have. */
export interface AppSections {
  readonly ping?: ModuleConfig;
  readonly services?: ModuleConfig;
  readonly api?: never;
  readonly discover?: never;
  readonly worker?: never;
  readonly _global?: never;
  readonly _config?: never;
  readonly _store?: never;
}

/**
 * Options of modules by name, in the shape of the configuration file: only a module with a key can be called.
 */
export interface AppConfig extends AppSections {
  readonly [section: `_${string}`]: never;
  readonly [module: string]: ModuleConfig | undefined;
}

export interface CreateAppOptions {
  /** The registry, such as `memoryStore()` of `bpbroker/store`. The app does not close it. */
  readonly store: Store;
  /**
   * Options of modules, by name, in the shape of the configuration file: `{ services: { _access_key: 'secret'
   * } }`. Only a module with a key can be called. Default: `ping` and `services`, without access keys. An
   * object of an interface of your own fits too.
   */
  readonly config?: AppConfig | (AppSections & object);
  /** Modules of your own by name; each can be called once it has a key in `config`. */
  readonly modules?: Readonly<Record<string, Module>>;
  /** The key that `/metrics` asks for, or a list of which any passes; default `''`, no key. */
  readonly metricsKey?: string | readonly string[];
  /** The log; default: none. */
  readonly log?: Logger;
  /**
   * Called with each record of the audit trail: writes, executions and refusals; default: no trail. The
   * answer of the call waits for its result. If it throws or rejects, the call is still answered; the failure
   * is logged once and counted in `/metrics`.
   */
  readonly audit?: (record: AuditRecord) => void | Promise<void>;
  /**
   * Returns the IP address of the client, for `last_write_ip` and the limits by source. Default: the server's
   * word (`Bun.serve`, `Deno.serve`, @hono/node-server, AWS Lambda); else `''`, and the limits by source
   * limit nobody. Behind a proxy the default is the proxy's address: return the header that your own proxy
   * sets, and that no client can set.
   */
  readonly clientAddress?: ClientAddress;
  /**
   * Host names from which browsers fetch the app, such as `broker.example.com`: its status page may call it
   * there. Default: only IP addresses, `localhost` and `bpbroker`, since an attacker may have pointed any
   * other name here (DNS rebinding).
   */
  readonly ownNames?: readonly string[];
  /**
   * Aborted when the app has to end its long polls and event streams; default: never. The clients that wait
   * are answered 503 `unavailable`.
   */
  readonly signal?: AbortSignal;
}

const rules: OptionRules<CreateAppOptions> = {
  store: {
    required: true,
    expected: "a store, such as memoryStore() of 'bpbroker/store'",
    accepts: hasFunctions('mutate', 'get', 'list', 'waitForEntry', 'waitForCount', 'watch', 'health'),
  },
  config: {
    expected: "an object of modules by name, such as { services: { _access_key: 'secret' } }",
    accepts: isObject,
  },
  modules: { expected: 'an object of modules by name, as defineModule() makes them', accepts: isObject },
  metricsKey: {
    expected: 'a string or a list of strings',
    accepts: (key) => isText(key) || Array.isArray(key),
    secret: true,
  },
  log: { expected: 'a logger with debug, info, warn and error, such as console', accepts: isLogger },
  audit: { expected: 'a function of a record of the audit trail', accepts: isFunction },
  clientAddress: { expected: 'a function of the request that returns an IP address', accepts: isFunction },
  ownNames: {
    expected: 'a list of host names',
    accepts: (names) => Array.isArray(names) && names.every((name) => typeof name === 'string'),
  },
  signal: { expected: 'an AbortSignal', accepts: isSignal },
};

/**
 * The API as a Hono app (contract, section 5) that needs no files, sockets or processes. It runs wherever
 * Hono has an adapter, and mounts in another app under any path. Only `createBroker` has discovery and
 * extensions.
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
  checkOptions<CreateAppOptions>('createApp', options, rules);
  const {
    store,
    config = {},
    modules = {},
    log = silentLogger,
    clientAddress,
    ownNames = [],
    audit: writeAudit,
    signal,
  } = options;
  const stray = Object.entries(config).find(([key, value]) => value !== undefined && !isModuleKey(key));
  if (stray) {
    throw new BrokerError(
      'invalid_config',
      `createApp: the option 'config.${stray[0]}' has no meaning here: an app has only modules, and createBroker has the rest`,
    );
  }
  checkOwnModules('createApp', modules);
  const source = 'createApp: config';
  const guarded = Object.hasOwn(options, 'metricsKey') && {
    [METRICS_SECTION]: { _access_key: options.metricsKey },
  };
  const { effective } = mergeLayers({ options: programConfig({ ...config, ...guarded }, source) }, source);
  const measures = createMeasures();
  const { ping, services: unaudited } = builtIn(store, measures.waits);
  const trail = writeAudit && createFunctionSink(writeAudit, harmless(log));
  const audit = createAudit(trail?.sink ?? noSink);
  const own = { ping, services: auditedServices(unaudited, audit) };
  return createApi({
    config: effective,
    registry: store,
    measures,
    audit,
    ...(trail && { others: trail.metrics }),
    services: own.services,
    modules: new Map(Object.entries({ ...modules, ...own })),
    log: harmless(log),
    clientAddress,
    ownNames,
    closing: closingWith(signal),
    readiness() {
      const { writable, reason, usage } = store.health();
      const size = usage && { bytes: usage.bytes, max_bytes: usage.maxBytes };
      return {
        ready: writable,
        checks: { registry: { ok: writable, ...(reason === undefined ? {} : { reason }), ...size } },
        warnings: [],
      };
    },
  }).app;
}

/**
 * A signal that is aborted with the given one, but for a reason of the broker. A signal's own reason would be
 * a failure of the broker to its waiting clients, and they would not ask again.
 */
function closingWith(signal: AbortSignal | undefined): Ending {
  const { signal: closing, end } = createEnding();
  const close = (): void => end(new BrokerError('unavailable', 'The broker is stopping'));
  if (signal?.aborted) close();
  else signal?.addEventListener('abort', close, { once: true });
  return closing;
}
