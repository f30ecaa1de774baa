/** The name of an option, without its dashes. */
export type OptionName =
  | 'help'
  | 'version'
  | 'config'
  | 'listen-ip'
  | 'listen-port'
  | 'ssl-cert'
  | 'ssl-key'
  | 'log-format'
  | 'log-level'
  | 'detach'
  | 'log-file'
  | 'config-file'
  | 'bpbroker'
  | 'access-key'
  | 'access-key-file'
  | 'discover-key-file'
  | 'fingerprint'
  | 'ca'
  | 'timeout'
  | 'format'
  | 'cols'
  | 'raw'
  | 'data-only'
  | 'quiet'
  | 'verbose'
  | 'interface'
  | 'target'
  | 'name'
  | 'data'
  | 'data-file'
  | 'json'
  | 'unset'
  | 'default'
  | 'wait'
  | 'all'
  | 'port'
  | 'ttl'
  | 'if-same'
  | 'if-revision'
  | 'if-locked'
  | 'foreground'
  | 'prefix'
  | 'wait-count'
  | 'count'
  | 'initial'
  | 'after'
  | 'exec'
  | 'forget'
  | 'method'
  | 'script'
  | 'from'
  | 'to'
  | 'endpoint'
  | 'force'
  | 'enable'
  | 'hash'
  | 'key-file'
  | 'dry-run'
  | 'user'
  | 'firewall'
  | 'word';

/** The heading in help that lists an option; `command` is the subject of the command itself. */
export type OptionGroup = 'command' | 'connection' | 'output' | 'network' | 'log';

/**
 * Every option of every command, in one place. A name has the same type in every command. So the parser knows
 * which options carry a value before it knows the command: options may come before or after it (contract,
 * section 2).
 */
export interface OptionDefinition {
  /** `string` takes the next argument as its value, whatever it looks like. */
  readonly type: 'string' | 'boolean';
  readonly description: string;
  /** The name of the value in help. */
  readonly valueHint?: string;
  /** Default: `command`. */
  readonly group?: OptionGroup;
  /** The default, as help states it. An option with a value has one here or in `defaults` of its commands. */
  readonly default?: string;
  /** Throws BrokerError `usage` for an invalid value; `option` is its name for the message. */
  readonly check?: (value: string, option: string) => void;
  /** One letter. */
  readonly alias?: string;
  /** The accepted values; default: any. */
  readonly choices?: readonly string[];
  /** May be given more than once. */
  readonly repeatable?: boolean;
  /** Variable of the environment that is used without the option. */
  readonly env?: string;
  /** Variable of the environment that holds the content of the option's file. */
  readonly contentEnv?: string;
  /** Options that it cannot be combined with, and what to do instead. */
  readonly excludes?: Partial<Readonly<Record<OptionName, string | ExcludedValues>>>;
  /** An empty variable is refused, and not ignored: without its value, the command would check less. */
  readonly refusesEmpty?: boolean;
  /** Its value is never repeated in a message. */
  readonly secret?: boolean;
}

/** An option that has no meaning with some values: with these, or with all others. */
export interface ExcludedValues {
  readonly only?: readonly string[];
  readonly allBut?: readonly string[];
  readonly instead: string;
}
