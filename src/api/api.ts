import type { Hono } from 'hono';
import { METRICS_SECTION } from '../config/schema.ts';
import type { Module, Reply } from '../modules/module.ts';
import type { JsonObject } from '../protocol/formats/data.ts';
import { BrokerError } from '../protocol/errors.ts';
import type { Ending } from '../protocol/ending.ts';
import type { Logger } from '../protocol/logger.ts';
import type { Store } from '../store/store.ts';
import { createRequestHandler } from './requests/request-handler.ts';
import { type AuditedCall, type Audit, createAudit, noSink } from './audit/audit.ts';
import { createKeyNames } from './audit/key-names.ts';
import { type AccessKeys, createAccessKeys } from './access/access-keys.ts';
import type { ClientAddress } from './access/connection.ts';
import type { DiscoveryExchange } from './discover.ts';
import { createDispatcher, type Dispatcher } from './requests/dispatcher.ts';
import { metricsReply } from './metrics/metrics-reply.ts';
import type { Measures } from './metrics/measures.ts';
import type { Metric } from './metrics/metric.ts';
import { createModuleCalls } from './module-calls.ts';
import { createOpenApi } from './openapi/open-api.ts';
import { refuseForeignPage } from './access/origin.ts';
import type { Readiness } from './readiness.ts';
import { createResponder, type ShareHeaders } from './requests/response.ts';
import {
  type BrokerIdentity,
  createFetch,
  createRoutes,
  type Fetch,
  type MetricsCaller,
  type RoutesOptions,
} from './routes.ts';
import { type Cluster, createStatus, type GuardedPage, STATUS_PAGE } from './status.ts';
import { createStreamLimit } from './requests/stream-limit.ts';

/** The API over a set of modules: the Hono app, and the parts that can change while it serves. */
export interface Api {
  readonly app: Hono;
  /** Answers as the app does, for a server of the broker. */
  readonly fetch: Fetch;
  /**
   * Takes over another configuration: which modules may be called, and with which keys. It ends the event
   * streams of keys and modules that are no longer in it.
   */
  configure(config: ModuleOptions): void;
  /** Ends the event streams of keys that are no longer good. */
  reviewStreams(): void;
}

/** A configuration: its top-level keys are the whitelist of modules, each with the module's own options. */
export type ModuleOptions = Readonly<Record<string, JsonObject>>;

export interface ApiOptions {
  readonly config: ModuleOptions;
  /** The state of the registry that `/metrics` shows. */
  readonly registry: Pick<Store, 'revision' | 'count' | 'health'>;
  /** The measurements of the serving API; the module `services` reports waits to it. */
  readonly measures: Measures;
  /** Records the calls; the module `services` itself records its writes. Default: no trail. */
  readonly audit?: Audit;
  /** More metrics, from the program that serves the API; default: none. */
  readonly others?: () => readonly Metric[];
  /** The module `services`, through which every other module uses the registry. */
  readonly services: Module;
  /** Modules by name: the built-in ones, and those of the embedding program. */
  readonly modules: ReadonlyMap<string, Module>;
  /** Finds modules when they are called; default: none. */
  readonly findExtension?: (name: string) => Promise<Module | undefined>;
  /** Accepts more keys besides those of the configuration; default: none. */
  readonly amendKeys?: (keys: AccessKeys) => AccessKeys;
  readonly readiness: () => Readiness;
  /** Aborted when the app has to end its long polls and event streams. */
  readonly closing: Ending;
  readonly log: Logger;
  readonly clientAddress?: ClientAddress | undefined;
  readonly identity?: BrokerIdentity | undefined;
  /** More facts of the broker on the status page, by name; nothing secret. */
  readonly about?: () => Readonly<Record<string, string>>;
  readonly discovery?: DiscoveryExchange | undefined;
  /** The brokers that serve the same registry; default: only this one. */
  readonly cluster?: (() => Promise<Cluster>) | undefined;
  /**
   * Host names from which the app's own pages are fetched, besides `localhost`, `bpbroker` and IP addresses.
   */
  readonly ownNames?: readonly string[];
  /** Default: a plain object. */
  readonly shareHeaders?: ShareHeaders;
}

/** The parts that are made from the configuration. */
interface Served {
  readonly dispatcher: Dispatcher;
  readonly openApi: () => Promise<string>;
  readonly metrics: (caller: MetricsCaller) => Promise<Reply>;
  readonly status: (caller: MetricsCaller) => Promise<Reply>;
}

/** The most event streams at a time: of one access key, and in all (security page). */
const streamLimits = { perHolder: 64, overall: 1000 };

/** Creates the API over the given modules and registry; it opens nothing, and closes nothing. */
export function createApi(options: ApiOptions): Api {
  const { modules, log, measures, ownNames = [], amendKeys = (keys) => keys } = options;
  const { findExtension = async () => undefined, audit = createAudit(noSink) } = options;
  const keyNames = createKeyNames();
  const streams = createStreamLimit(streamLimits);
  const calls = createModuleCalls();
  const sources = { others: () => [], ...options, streams };
  /** A page of the broker; the audit trail records the callers that it refuses. */
  const guarded =
    (page: string, { check, answer }: GuardedPage) =>
    async (caller: MetricsCaller): Promise<Reply> => {
      try {
        check(caller);
      } catch (error) {
        if (audit.isOn) await audit.refused({ ...askedOf(caller, error, keyNames), module: page }, error);
        throw error;
      }
      return answer(caller);
    };
  const served = (config: ModuleOptions): Served => {
    const accessKeys = amendKeys(createAccessKeys(config, log, measures.refused, keyNames));
    const status = createStatus({ config, accessKeys, calls, cluster: options.cluster, ownNames });
    return {
      metrics: guarded(METRICS_SECTION, {
        check(caller) {
          if (accessKeys.guards(METRICS_SECTION)) refuseForeignPage(caller, ownNames);
          accessKeys.check(METRICS_SECTION, caller.key, caller);
        },
        answer: () => metricsReply(sources),
      }),
      status: guarded(STATUS_PAGE, status),
      dispatcher: createDispatcher({
        config,
        accessKeys,
        findModule: (name) => modules.get(name),
        findExtension,
        calls,
        ownNames,
        audit,
      }),
      openApi: createOpenApi({ config, accessKeys, hasIdentity: options.identity !== undefined }),
    };
  };
  let { dispatcher, openApi, metrics, status } = served(options.config);
  const parts: RoutesOptions = {
    dispatcher: {
      dispatch: (module, method, key, call) => dispatcher.dispatch(module, method, key, call),
      holderOf: (module, key, call) => dispatcher.holderOf(module, key, call),
      opens: (module, key) => dispatcher.opens(module, key),
      nameOf: (module, key) => dispatcher.nameOf(module, key),
    },
    audit,
    services: options.services,
    streams,
    requests: measures.requests,
    metrics: (caller) => metrics(caller),
    status: (caller) => status(caller),
    log,
    toResponse: createResponder(options.shareHeaders, log),
    clientAddress: options.clientAddress,
    readiness: options.readiness,
    openApi: () => openApi(),
    closing: options.closing,
    identity: options.identity,
    about: options.about,
    discovery: options.discovery,
  };
  const answer = createRequestHandler(parts);
  const app = createRoutes(parts, answer);
  return {
    app,
    fetch: createFetch(app, answer),
    configure(config) {
      ({ dispatcher, openApi, metrics, status } = served(config));
      streams.review();
    },
    reviewStreams: () => streams.review(),
  };
}

/** The key of a source that must wait is not read. */
function askedOf(
  caller: MetricsCaller,
  error: unknown,
  nameKey: (key: string) => string,
): Omit<AuditedCall, 'module'> {
  const { clientAddress: source, requestId: request } = caller;
  const isLimited = error instanceof BrokerError && error.code === 'too_many_requests';
  const key = isLimited ? '' : (caller.key() ?? '');
  return { source, request, method: '', key: key === '' ? undefined : nameKey(key) };
}
