import { DEFAULT_PREFIX } from '../protocol/addresses/endpoint.ts';
import { type AuditConfig, auditDefaults, type Config } from './schema.ts';

/** The part of an option's description that its schema does not contain; the reference is made from both. */
export interface OptionDoc {
  /** One phrase without a full stop, in Markdown. */
  readonly description: string;
  /** The unit of a number, such as `seconds`. Default: none. */
  readonly unit?: string;
  /** The default in Markdown, where neither `defaults` nor the schema has it. */
  readonly default?: string;
  /** Whether a reload leaves the option as it was, so that it takes effect at the next start. Default: false. */
  readonly needsRestart?: boolean;
}

type Notes<Keys extends string> = Readonly<Record<Keys, OptionDoc>>;
/** The declared keys of a section, without its index signature. */
type Named<Section> = keyof {
  [Key in keyof Section as string extends Key ? never : Key]: Section[Key];
} &
  string;

const pem = 'PEM file of the';

/** The options of sections whose keys are all known, in the order of docs/configuration.md. */
export const optionDocs: {
  readonly api: Notes<Named<Config['api']>>;
  readonly _global: Notes<Named<Config['_global']>>;
  readonly _config: Notes<Named<Config['_config']>>;
  readonly _store: Notes<Named<Config['_store']>>;
  readonly _audit: Notes<Named<AuditConfig>>;
  readonly _metrics: Notes<'_access_key'>;
} = {
  api: {
    listen_port: {
      description: 'TCP port of the API and UDP port of discovery; 0 picks a free one',
      needsRestart: true,
    },
    listen_ip: {
      description: 'IP address to listen on; empty is every interface, IPv4 and IPv6',
      needsRestart: true,
    },
    ssl_cert: {
      description: `${pem} certificate; empty is the one that the broker makes for itself. It needs \`api.ssl_key\``,
    },
    ssl_key: { description: `${pem} certificate's private key` },
  },
  _global: {
    healthcheck_freq_sec: {
      description: 'Time between self-checks ([health](operate.md#health-and-readiness))',
      unit: 'seconds',
    },
    log_level: {
      description: 'Least severe events to log, unless `--log-level` is given',
      default: '`info`',
    },
  },
  _config: {
    backup_freq_secs: {
      description: 'Time between [backups](operate.md#backups); 0: none are made',
      unit: 'seconds',
    },
    backup_retain_n: {
      description: 'How many of the latest backups are kept; 0: none are made, and none removed',
    },
  },
  _store: {
    driver: {
      description:
        'Where the registry is kept: `file`, this file; `etcd`, [a cluster](configuration.md#a-registry-in-etcd)',
      needsRestart: true,
    },
    max_bytes: {
      description: 'What the registry may [count](storage.md#size), all of it',
      unit: 'bytes',
      needsRestart: true,
    },
    endpoints: {
      description:
        "The members' client URLs, in the order of preference, such as `https://10.0.0.1:2379`; the driver `etcd` needs them",
      default: 'none',
      needsRestart: true,
    },
    prefix: {
      description: "What the registry's keys begin with; it ends with `/`",
      default: `\`${DEFAULT_PREFIX}\``,
      needsRestart: true,
    },
    username: {
      description: "User of etcd's own authentication",
      default: 'none',
      needsRestart: true,
    },
    password: {
      description: "That user's password; it needs `_store.username`",
      default: 'none',
      needsRestart: true,
    },
    ca: {
      description: `${pem} authorities that the members' certificates must be of`,
      default: "the runtime's authorities",
      needsRestart: true,
    },
    cert: {
      description: `${pem} certificate that the broker presents; it needs \`_store.key\``,
      default: 'none',
      needsRestart: true,
    },
    key: {
      description: `${pem} private key of that certificate`,
      default: 'none',
      needsRestart: true,
    },
  },
  _audit: {
    to: {
      description: 'Where lines go: a file of their own, or the log; without `_audit` there is no trail',
      default: 'none',
    },
    file: {
      description: "The trail's path",
      default: '`NAME.audit.jsonl` beside the configuration `NAME.json`',
    },
    max_bytes: {
      description: 'The file is put aside before it has more than this',
      unit: 'bytes',
      default: String(auditDefaults.max_bytes),
    },
    keep: {
      description: 'How many of those that were put aside are kept',
      default: String(auditDefaults.keep),
    },
    data: {
      description: 'Whether lines hold the data that writes and executions bring',
      default: '`false`',
    },
    required: {
      description:
        'Whether writes and executions are refused while no line can be written; it needs `_audit.to`: `file`',
      default: '`false`',
    },
  },
  _metrics: {
    _access_key: {
      description: 'Key that [`/metrics`](monitoring.md) asks for, or a list of which any passes',
      default: '`""`',
    },
  },
};

/** The options of sections that have other keys too. `MODULE` is any module that may be called. */
export const moduleOptionDocs: {
  readonly discover: Notes<'_access_key'>;
  readonly MODULE: Notes<
    '_access_key' | '_timeout_secs' | '_concurrency' | '_queue' | '_memory_mb' | '_output_mb' | '_python'
  >;
} = {
  discover: {
    _access_key: {
      description: 'Discovery key, or a list of keys; empty is [open discovery](discovery.md)',
      default: '`""`',
    },
  },
  MODULE: {
    _access_key: {
      description:
        "Key that calls of the module need, or a list of which any passes; `sha256:HEX` is a key's hash",
      default: '`""`',
    },
    _timeout_secs: {
      description:
        'Longest time of one call of an [extension](extensions.md#limits), its whole output included',
      unit: 'seconds',
    },
    _concurrency: { description: 'Calls of an extension that run at the same time' },
    _queue: { description: 'Calls of an extension that wait beyond those' },
    _memory_mb: { description: "Most memory of one call's processes together", unit: 'MiB' },
    _output_mb: { description: 'Most that one call may print, its answer included', unit: 'MiB' },
    _python: {
      description: 'Interpreter of an extension in Python',
      default: '`python3`, on Windows `python`',
    },
  },
};
