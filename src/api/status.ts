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
  /** Identifies the running process. */
  readonly instance: string;
  /** `https://HOST:PORT` */
  readonly url: string;
  readonly host: string;
  readonly version: string;
  /** The time when it began to serve, ISO 8601. */
  readonly since: string;
  /** Whether it is the broker that answers. */
  readonly self: boolean;
}

/** The brokers that serve one registry. */
export interface Cluster {
  readonly brokers: readonly ClusterBroker[];
  /** Why the list is unknown now; `brokers` is then the last known list. */
  readonly problem?: string;
}

/** The answer of `GET /status`. */
interface Status {
  /** The modules that are not built in and that the key may call, by name, with their last calls. */
  readonly modules: readonly ({ readonly name: string } & CallsOfModule)[];
  /** The number of further modules, which ask for another key. */
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

/** A page of the broker with restricted access. */
export interface GuardedPage {
  /** @throws BrokerError for a caller who may not read it. */
  check(caller: MetricsCaller): void;
  /** The answer to an allowed caller. */
  answer(caller: MetricsCaller): Promise<Reply>;
}

/** The name of the page in the log and the audit trail. */
export const STATUS_PAGE = '_status';

const REGISTRY = 'services';

/**
 * Answers `GET /status`: the facts on the status page besides entries. A caller sees the modules that it may
 * call, and the cluster if it may use the registry.
 */
export function createStatus(options: StatusOptions): GuardedPage {
  const { config, accessKeys, calls, cluster, ownNames } = options;
  const enabled = Object.keys(config).filter(isModuleKey);
  const others = enabled.filter((name) => !isBuiltIn(name));

  return {
    check(caller) {
      refuseForeignPage(caller, ownNames);
      const key = caller.key();
      // A wrong key counts as one wherever it is presented, and a source with too many of them learns
      // nothing.
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
