import {
  checkOptions,
  isFunction,
  isPositive,
  isText,
  type OptionRule,
  type OptionRules,
} from '../../protocol/options.ts';
import type { EtcdFetch } from './gateway/gateway.ts';
import { isEndpoint, isPrefix } from '../../protocol/addresses/endpoint.ts';
import type { StateLimits } from '../memory/registry-state.ts';

/** The options of `etcdStore`. */
export interface EtcdStoreOptions extends StateLimits {
  /**
   * The members' client URLs, such as `https://10.0.0.1:2379`, in the order of preference. After a failure
   * the next one is used.
   */
  readonly endpoints: readonly string[];
  /**
   * The beginning of this registry's keys; it ends with `/`. Default `/bpbroker/`. Each registry of a cluster
   * needs its own.
   */
  readonly prefix?: string;
  /**
   * The function that makes requests; default: the global `fetch`. Where etcd asks for a client certificate,
   * pass one that presents it. It must send each request once. Deno's `fetch` does so with a body that is a
   * `Blob`.
   */
  readonly fetch?: EtcdFetch;
  /** The user of etcd's own authentication; default: none. */
  readonly username?: string;
  readonly password?: string;
  /**
   * The longest time of a read or write, in milliseconds; default 5000. After a lost answer it may take 2
   * seconds more.
   */
  readonly timeoutMs?: number;
  /**
   * The most bytes of all entries (for each its name, its data as JSON, and 512 more); default: only etcd's
   * limit.
   */
  readonly maxBytes?: number;
  /** Logs events of the cluster; default: no log. */
  readonly log?: (level: 'info' | 'warn' | 'error', message: string) => void;
}

const limit = (what: string): OptionRule => ({ expected: `${what} above 0`, accepts: isPositive });

const rules: OptionRules<EtcdStoreOptions> = {
  endpoints: {
    required: true,
    expected: "a list of URLs, such as ['https://10.0.0.1:2379']",
    accepts: (value) => Array.isArray(value) && value.length > 0 && value.every(isEndpoint),
  },
  prefix: { expected: "a text that ends with '/', such as '/bpbroker/'", accepts: isPrefix },
  fetch: { expected: 'a function such as the global fetch', accepts: isFunction },
  username: { expected: "a user's name", accepts: (value) => isText(value) && value !== '' },
  password: { expected: "the user's password", accepts: isText, secret: true },
  timeoutMs: limit('a number of milliseconds'),
  maxBytes: limit('a number of bytes'),
  historyChanges: limit('a number of changes'),
  historyBytes: limit('a number of bytes'),
  watchBytes: limit('a number of bytes'),
  log: { expected: 'a function of level and message', accepts: isFunction },
};

/** @throws BrokerError `invalid_config` for a wrong option. */
export function checkEtcdOptions(options: EtcdStoreOptions): void {
  checkOptions<EtcdStoreOptions>('etcdStore', options, rules);
}
