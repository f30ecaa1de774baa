import * as v from 'valibot';
import { isObject, type Json, type JsonObject, kindOf } from '../protocol/formats/data.ts';
import { issueText } from '../protocol/formats/issue-text.ts';
import { discoveryKeyProblem } from '../protocol/discovery/discovery-key.ts';
import { BrokerError } from '../protocol/errors.ts';
import { ipVersion } from '../protocol/addresses/ip.ts';
import { isEndpoint, isPrefix } from '../protocol/addresses/endpoint.ts';
import { accessKeyProblem } from './access-key.ts';
import { moduleKeyProblem, sectionKeyProblem, strayKeyProblem } from './access-key-problems.ts';

/** The levels of the log, the most important first; each includes those before it. */
export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/**
 * The options of a broker, in the shape of the configuration file (contract, section 4). Every other
 * top-level key is a module: only a module with a key can be called. The key's object is the module's own
 * configuration.
 */
export interface Config {
  readonly api: {
    /** The port: TCP for the API and UDP for discovery; default 20443; 0 picks a free one. */
    readonly listen_port: number;
    /** The IP address to listen on; default `''`, all interfaces. */
    readonly listen_ip: string;
    /** PEM file of the certificate; default `''`: one that the broker makes. */
    readonly ssl_cert: string;
    /** PEM file of its key; default `''`. */
    readonly ssl_key: string;
  };
  readonly _global: {
    /** Seconds between self-checks; default 10. */
    readonly healthcheck_freq_sec: number;
    /**
     * The lowest level that is logged, unless the command line or the environment sets it; default `info`.
     */
    readonly log_level?: LogLevel;
  };
  readonly _config: {
    /** Seconds between backups; default 3600; 0 makes none. */
    readonly backup_freq_secs: number;
    /** The number of backups to keep; default 24; 0 makes none and removes none. */
    readonly backup_retain_n: number;
  };
  readonly _store: {
    /** The place of the registry: `file` (this file; the default) or `etcd` (a cluster). */
    readonly driver: 'file' | 'etcd';
    /**
     * The most bytes of all entries together; default 1 GiB. Each entry counts its name, its data as JSON,
     * and 512 bytes more. A larger registry is still read, and accepts only writes that make it smaller.
     */
    readonly max_bytes: number;
    /** For `etcd`: the members' client URLs, such as `https://10.0.0.1:2379`. */
    readonly endpoints?: readonly string[];
    /** For `etcd`: the beginning of the registry's keys; ends with `/`; default `/bpbroker/`. */
    readonly prefix?: string;
    /** For `etcd`: the user of etcd's own authentication; default none. */
    readonly username?: string;
    readonly password?: string;
    /** For `etcd`: a PEM file with the authorities of its certificates; default: those of the runtime. */
    readonly ca?: string;
    /** For `etcd`: PEM files with the broker's client certificate and its key; default none. */
    readonly cert?: string;
    readonly key?: string;
    readonly [key: string]: Json;
  };
  /** The audit trail; absent: no trail. */
  readonly _audit?: AuditConfig & JsonObject;
  readonly [module: string]: JsonObject;
}

/** The audit trail of writes, executions and refusals. */
export interface AuditConfig {
  /** The target of the lines: a separate file, or the broker's log. */
  readonly to: 'file' | 'log';
  /** For `file`: its path; default: beside the configuration, `bpbroker.audit.jsonl` for `bpbroker.json`. */
  readonly file?: string;
  /** For `file`: the most bytes before it is rotated; default 67108864 (64 MiB). */
  readonly max_bytes?: number;
  /** For `file`: the number of rotated files that are kept; default 10. */
  readonly keep?: number;
  /** Whether lines hold the data of writes and executions; default false. */
  readonly data?: boolean;
  /** For `file`: whether writes and executions are refused while no line can be written; default false. */
  readonly required?: boolean;
}

/** The access key of a module. */
export interface ModuleKey {
  /** The key that every call must present; any key of a list passes. `''`, the default, asks for none. */
  readonly _access_key?: string | readonly string[];
}

/**
 * The object of a module: its access key and its own options. An object of an interface of your own fits too.
 */
export type ModuleConfig = (ModuleKey & { readonly [option: string]: unknown }) | (ModuleKey & object);

/** The members of {@link BrokerConfig} that are not modules' objects of your own. */
export interface BrokerSections {
  readonly api?: Partial<Config['api']>;
  /** `_access_key`: the key of keyed discovery, as `keygen` makes it; default `''`, open discovery. */
  readonly discover?: ModuleConfig;
  readonly _global?: Partial<Config['_global']>;
  readonly _config?: Partial<Config['_config']>;
  readonly _store?: Partial<Config['_store']>;
  readonly _audit?: AuditConfig;
  /** `_access_key`: the key that `/metrics` asks for; default `''`, none. */
  readonly _metrics?: ModuleKey;
  readonly ping?: ModuleConfig;
  readonly services?: ModuleConfig;
  readonly worker?: ModuleConfig;
}

/**
 * Options in the shape of the configuration file, all of them optional. Every further key is a module's: only
 * a module with a key can be called.
 */
export interface BrokerConfig extends BrokerSections {
  readonly [module: string]: ModuleConfig | undefined;
}

/** All defaults: the configuration of a broker without a file. */
export const defaults: Config = {
  api: { listen_port: 20_443, listen_ip: '', ssl_cert: '', ssl_key: '' },
  discover: {},
  worker: {},
  ping: {},
  _global: { healthcheck_freq_sec: 10 },
  _config: { backup_freq_secs: 3600, backup_retain_n: 24 },
  _store: { driver: 'file', max_bytes: 1024 ** 3 },
  services: {},
};

/** The defaults of the options of `_audit` for a trail in a file. */
export const auditDefaults: { readonly max_bytes: number; readonly keep: number } = {
  max_bytes: 64 * 1024 ** 2,
  keep: 10,
};

/** Top-level keys that are not modules and can never be called. */
const sections = new Set(['api', 'discover', 'worker']);

/** The section whose `_access_key` guards `/metrics`. It is not a module. */
export const METRICS_SECTION = '_metrics';

/** Whether the `_access_key` of a top-level key's object guards something. */
function isGuarding(key: string): boolean {
  return isModuleKey(key) || key === 'discover' || key === METRICS_SECTION;
}

/** Whether a top-level key of the configuration allows calls of a module of that name. */
export function isModuleKey(key: string): boolean {
  return !sections.has(key) && !key.startsWith('_');
}

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const seconds = v.pipe(v.number(), v.gtValue(0));
const secondsOrNone = v.pipe(v.number(), v.minValue(0));
const oneKey = v.pipe(
  v.string(),
  v.check(
    (key) => accessKeyProblem(key) === undefined,
    (issue) => accessKeyProblem(issue.input) ?? '',
  ),
);
const accessKey = v.union([oneKey, v.array(oneKey)], 'expected a string or a list of strings');

const text = v.pipe(v.string(), v.minLength(1, 'expected a text that is not empty'));

/** The options of `_store` that only the driver `etcd` has. */
const etcdOptions = {
  endpoints: v.optional(
    v.pipe(
      v.array(
        v.pipe(
          v.string(),
          v.check((url: string) => isEndpoint(url), "expected a URL such as 'https://10.0.0.1:2379'"),
        ),
      ),
      v.minLength(1, "expected a list of URLs, such as ['https://10.0.0.1:2379']"),
    ),
  ),
  prefix: v.optional(
    v.pipe(
      v.string(),
      v.check(
        (prefix: string) => isPrefix(prefix),
        "expected a text that ends with '/', such as '/bpbroker/'",
      ),
    ),
  ),
  username: v.optional(text),
  // The message does not repeat what was given.
  password: v.optional(v.string('expected a text')),
  ca: v.optional(text),
  cert: v.optional(text),
  key: v.optional(text),
};

/** The options of `_audit` that only a trail in a file has. */
const auditFileOptions = {
  file: v.optional(text),
  max_bytes: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(4096, 'expected a number of bytes from 4096 on, such as 67108864 for 64 MiB'),
    ),
  ),
  keep: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(10_000))),
  required: v.optional(v.boolean()),
};

/** The names of these options. */
export const auditFileKeys: readonly string[] = Object.keys(auditFileOptions);

/** The names of the options that only `etcd` has. */
export const etcdKeys: readonly string[] = Object.keys(etcdOptions);

/** The schema of a configuration, without the rules between options: {@link checkConfig} has those. */
export const configSchema: v.GenericSchema = v.objectWithRest(
  {
    api: v.looseObject({
      listen_port: v.pipe(count, v.maxValue(65_535)),
      listen_ip: v.pipe(
        v.string(),
        v.check(
          (ip) => ip === '' || ipVersion(ip) !== 0,
          (issue) => `expected an IP address, or nothing for all, got '${issue.input}'`,
        ),
      ),
      ssl_cert: v.string(),
      ssl_key: v.string(),
    }),
    _global: v.looseObject({
      healthcheck_freq_sec: seconds,
      log_level: v.optional(v.picklist(['error', 'warn', 'info', 'debug'])),
    }),
    _config: v.looseObject({ backup_freq_secs: secondsOrNone, backup_retain_n: count }),
    _store: v.looseObject({
      driver: v.picklist(['file', 'etcd'], "expected 'file' or 'etcd'"),
      max_bytes: v.pipe(
        v.number(),
        v.integer(),
        v.minValue(1, 'expected a number of bytes above 0, such as 1073741824 for 1 GiB'),
      ),
      ...etcdOptions,
    }),
    _audit: v.optional(
      v.looseObject({
        to: v.optional(v.picklist(['file', 'log'], "expected 'file' or 'log'")),
        data: v.optional(v.boolean()),
        ...auditFileOptions,
      }),
    ),
  },
  v.looseObject({ _access_key: v.optional(accessKey) }),
);

/**
 * Checks options after all defaults were merged into them.
 * @throws BrokerError `invalid_config` naming `source`, the option, and a right value.
 */
export function checkConfig(options: JsonObject, source: string): Config {
  checkEach(options, source);
  const config = options as Config;
  if (Boolean(config.api.ssl_cert) !== Boolean(config.api.ssl_key)) {
    throw new BrokerError(
      'invalid_config',
      `${source}: api.${config.api.ssl_cert ? 'ssl_key' : 'ssl_cert'} is empty, and goes together with api.${config.api.ssl_cert ? 'ssl_cert' : 'ssl_key'}: give both in the file, by --ssl-cert and --ssl-key, or by BPBROKER_SSL_CERT and BPBROKER_SSL_KEY`,
    );
  }
  const audit = auditProblem(options['_audit']);
  if (audit !== undefined) throw new BrokerError('invalid_config', `${source}: ${audit}`);
  const { driver, endpoints, cert, key, username, password } = config._store;
  const problem =
    driver === 'etcd' && endpoints === undefined
      ? "_store.endpoints is missing: the driver 'etcd' needs the URLs of the cluster's members"
      : Boolean(cert) !== Boolean(key)
        ? '_store.cert and _store.key go together; one of them is missing'
        : username === undefined && password !== undefined
          ? '_store.password needs _store.username'
          : undefined;
  if (problem !== undefined) throw new BrokerError('invalid_config', `${source}: ${problem}`);
  return config;
}

function auditProblem(audit: Json | undefined): string | undefined {
  if (!isObject(audit)) return undefined;
  if (audit['to'] === undefined) return "_audit.to is missing: expected 'file' or 'log'";
  return audit['required'] === true && audit['to'] !== 'file'
    ? "_audit.required needs _audit.to: 'file': nobody can tell whether a line of the log was written"
    : undefined;
}

/** As {@link checkConfig}, but without the rules between options: other layers may have the rest. */
export function checkEach(options: JsonObject, source: string): void {
  // An array would pass for an object, without its members.
  for (const [key, value] of Object.entries(options).filter(([, one]) => !isObject(one))) {
    const problem = strayKeyProblem(key, value) ?? `option ${key}: expected an object, got ${kindOf(value)}`;
    throw new BrokerError('invalid_config', `${source}: ${problem}`);
  }
  const result = v.safeParse(configSchema, options);
  if (!result.success) {
    const [issue] = result.issues;
    throw new BrokerError(
      'invalid_config',
      `${source}: option ${v.getDotPath(issue) ?? '(all)'}: ${issueText(issue)}`,
    );
  }
  for (const [key, value] of Object.entries(options)) {
    const problem = isObject(value) ? sectionProblem(key, value) : undefined;
    if (problem !== undefined) throw new BrokerError('invalid_config', `${source}: ${problem}`);
  }
  const { discover } = options;
  checkDiscoveryKeys(isObject(discover) ? discover['_access_key'] : undefined, source);
}

function sectionProblem(key: string, value: JsonObject): string | undefined {
  return isGuarding(key) ? moduleKeyProblem(key, value) : sectionKeyProblem(key, value);
}

/**
 * An empty string asks for no key. An empty list, or one with an empty key, would leave it open by mistake.
 */
function checkDiscoveryKeys(given: Json | undefined, source: string): void {
  if (given === undefined || given === '') return;
  const keys = [given].flat();
  const problems = keys.map((key) => (typeof key === 'string' ? discoveryKeyProblem(key) : 'no text'));
  const index = problems.findIndex((problem) => problem !== undefined);
  if (keys.length > 0 && index === -1) return;
  const place = Array.isArray(given) && keys.length > 1 ? `[${index}]` : '';
  const problem = problems[index] ?? "an empty list: give a key, or '' for open discovery";
  throw new BrokerError('invalid_config', `${source}: discover._access_key${place}: ${problem}`);
}
