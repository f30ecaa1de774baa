import { isModuleKey } from '../config/schema.ts';
import { isBuiltIn } from '../modules/built-in.ts';
import { jsonReply, type Reply } from '../modules/module.ts';
import type { JsonObject } from '../protocol/formats/data.ts';
import type { AccessKeys } from './access/access-keys.ts';
import type { CallsOfModule, ModuleCalls } from './module-calls.ts';
import { refuseForeignPage } from './access/origin.ts';
import type { MetricsCaller } from './routes.ts';

/** A broker that serves the registry. */
export interface ClusterBroker {
  /** Tells the running process from all others. */
  readonly instance: string;
  /** `https://HOST:PORT` */
  readonly url: string;
  readonly host: string;
  readonly version: string;
  /** When it began to serve, ISO 8601. */
  readonly since: string;
  /** Whether it is the one that answers. */
  readonly self: boolean;
}

/** The brokers that serve one registry. */
export interface Cluster {
  readonly brokers: readonly ClusterBroker[];
  /** Why it is unknown now: `brokers` are those last known then. */
  readonly problem?: string;
}

/** What `GET /status` answers. */
interface Status {
  /** The modules that are not built in and that the key lets call, by name, with their last calls. */
  readonly modules: readonly ({ readonly name: string } & CallsOfModule)[];
  /** How many more there are, which ask for another key. */
  readonly hidden: number;
  /** Absent where the registry has one broker, or the key does not open it. */
  readonly cluster?: Cluster;
}

export interface StatusOptions {
  /** The configuration: its top-level keys are the whitelist of modules. */
  readonly config: Readonly<Record<string, JsonObject>>;
  readonly accessKeys: AccessKeys;
  readonly calls: ModuleCalls;
  readonly cluster: (() => Promise<Cluster>) | undefined;
  readonly ownNames: readonly string[];
}

/** A page of the broker's own that not everybody may read. */
export interface GuardedPage {
  /** @throws BrokerError for whoever may not read it. */
  check(caller: MetricsCaller): void;
  /** What it answers to whoever passed. */
  answer(caller: MetricsCaller): Promise<Reply>;
}

/** What the log and the audit trail call the page. */
export const STATUS_PAGE = '_status';

const REGISTRY = 'services';

/**
 * Answers `GET /status`: what the status page shows besides entries. Of each module its callers may know what they could call
 * themselves, and of the cluster whoever may use the registry.
 */
export function createStatus(options: StatusOptions): GuardedPage {
  const { config, accessKeys, calls, cluster, ownNames } = options;
  const enabled = Object.keys(config).filter(isModuleKey);
  const others = enabled.filter((name) => !isBuiltIn(name));

  return {
    check(caller) {
      refuseForeignPage(caller, ownNames);
      const key = caller.key();
      // A wrong key counts as one wherever it is presented, and a source of too many learns nothing.
      if (key !== undefined) accessKeys.checkAny(STATUS_PAGE, enabled, () => key, caller);
    },
    async answer(caller) {
      const key = caller.key();
      const shown = others.filter((name) => accessKeys.opens(name, key));
      const seesRegistry = enabled.includes(REGISTRY) && accessKeys.opens(REGISTRY, key);
      const status: Status = {
        modules: shown.map((name) => ({ name, ...calls.of(name) })),
        hidden: others.length - shown.length,
        ...(seesRegistry && cluster && { cluster: await cluster() }),
      };
      return jsonReply(status);
    },
  };
}
