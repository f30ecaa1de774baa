/**
 * Every option of every command, in one place. A name means the same thing wherever it is taken, so the parser knows
 * which options carry a value before it knows the command: options may stand before or after it (contract, section 2).
 */
export interface OptionDefinition {
  /** `string` takes the next argument as its value, whatever it looks like. */
  readonly type: 'string' | 'boolean';
  readonly description: string;
  /** How help names the value. */
  readonly valueHint?: string;
  /** One letter. */
  readonly alias?: string;
  /** The values that are taken; default: any. */
  readonly choices?: readonly string[];
  /** May be given more than once. */
  readonly repeatable?: boolean;
  /** Variable of the environment that stands in for the option. */
  readonly env?: string;
  /** Options that have no meaning beside it, with what to do instead. */
  readonly excludes?: Partial<Readonly<Record<OptionName, string>>>;
  /** An empty variable is refused and not taken for unset: to lose the value would weaken what the command checks. */
  readonly refusesEmpty?: boolean;
  /** Its value is never repeated in a message. */
  readonly secret?: boolean;
}

const text = (
  valueHint: string,
  description: string,
  more: Partial<OptionDefinition> = {},
): OptionDefinition => ({
  type: 'string',
  valueHint,
  description,
  ...more,
});
const flag = (description: string, more: Partial<OptionDefinition> = {}): OptionDefinition => ({
  type: 'boolean',
  description,
  ...more,
});

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
  | 'quiet'
  | 'verbose'
  | 'interface'
  | 'target'
  | 'name'
  | 'data'
  | 'data-file'
  | 'wait'
  | 'all'
  | 'port'
  | 'ttl'
  | 'if-same'
  | 'if-revision'
  | 'prefix'
  | 'wait-count'
  | 'count'
  | 'exec'
  | 'forget'
  | 'method'
  | 'script'
  | 'from'
  | 'force'
  | 'enable'
  | 'hash'
  | 'key-file'
  | 'dry-run'
  | 'user'
  | 'firewall'
  | 'word';

export const optionDefinitions: Readonly<Record<OptionName, OptionDefinition>> = {
  help: flag('Show this help', { alias: 'h' }),
  version: flag('Show the version'),

  // broker
  config: text('FILE', 'Configuration file, which holds the registry too', {
    alias: 'c',
    env: 'BPBROKER_CONFIG',
  }),
  'listen-ip': text('ADDRESS', 'Address to listen on (default: all)', { env: 'BPBROKER_LISTEN_IP' }),
  'listen-port': text('PORT', 'TCP and UDP port (default: 20443; 0: any free one)', {
    env: 'BPBROKER_LISTEN_PORT',
  }),
  'ssl-cert': text('FILE', 'PEM certificate (default: one of its own)', { env: 'BPBROKER_SSL_CERT' }),
  'ssl-key': text('FILE', 'PEM private key of --ssl-cert', { env: 'BPBROKER_SSL_KEY' }),
  'log-format': text('FORMAT', 'Log lines as text or json (default: text)', {
    choices: ['text', 'json'],
    env: 'BPBROKER_LOG_FORMAT',
  }),
  'log-level': text('LEVEL', 'error, warn, info or debug (default: info)', {
    choices: ['error', 'warn', 'info', 'debug'],
    env: 'BPBROKER_LOG_LEVEL',
  }),
  'config-file': text('FILE', 'JSON to add (default: standard input)'),

  // client
  bpbroker: text('HOST[:PORT]|URL', 'Broker to talk to (default: found on the network)', {
    alias: 'b',
    env: 'BPBROKER',
    excludes: {
      port: 'a broker that is named is not looked for; its port belongs to its name, --bpbroker HOST:PORT',
      target: 'a broker that is named is not looked for; leave one of them out',
      interface: 'a broker that is named is not looked for; leave one of them out',
    },
  }),
  'access-key': text(
    'KEY',
    'Access key; it shows in the process list, so rather use the variable or the file',
    {
      alias: 'a',
      env: 'BPBROKER_ACCESS_KEY',
      secret: true,
    },
  ),
  'access-key-file': text('FILE', 'File that holds the access key'),
  'discover-key-file': text(
    'FILE',
    'File that holds the discovery key, which the broker must have too; or the key itself in BPBROKER_DISCOVER_KEY',
  ),
  fingerprint: text('sha256:HEX', 'The only identity to accept from the broker', {
    env: 'BPBROKER_FINGERPRINT',
    refusesEmpty: true,
  }),
  ca: text(
    'FILE',
    "PEM file of the authorities that may sign for a broker's URL (default: those of the system)",
    { env: 'BPBROKER_CA', refusesEmpty: true },
  ),
  timeout: text('TIME', 'Longest to take or wait: 500ms, 3s, 2m, 1h'),
  format: text('FORMAT', 'text, json, csv, csv-noheader or env (default: text)', {
    alias: 'f',
    choices: ['text', 'json', 'csv', 'csv-noheader', 'env'],
  }),
  cols: text('A,B', 'Only these columns'),
  raw: flag("The broker's whole answer, as JSON"),
  quiet: flag('No notes on standard error', {
    excludes: { verbose: 'one asks for fewer notes, the other for more; leave one of them out' },
  }),
  verbose: flag('More notes on standard error'),
  interface: text('NAME', 'Find brokers through this interface alone (repeatable)', {
    repeatable: true,
    env: 'BPBROKER_INTERFACES',
  }),
  target: text('ADDRESS', 'Ask this address too, where broadcasts do not reach (repeatable)', {
    repeatable: true,
  }),

  // single commands
  name: text('NAME', 'Name of the entry'),
  data: text('DATA', 'Text, or a JSON object'),
  'data-file': text('FILE', 'Read the data from a file; - is standard input'),
  wait: flag('Wait until it is there'),
  all: flag('All brokers that answer, a line each'),
  port: text('PORT', 'UDP port that brokers listen on (default: 20443)'),
  ttl: text('TIME', 'Let the entry expire after this time unless it is renewed'),
  'if-same': flag('Succeed if the entry stands with equal data'),
  'if-revision': text('N', 'Write only if the entry is at this revision (0: does not stand)'),
  prefix: text('PREFIX', 'Only entries whose names start with this'),
  'wait-count': text('K', 'Wait until K entries exist'),
  count: flag('Print how many there are, and not the entries'),
  exec: text('COMMAND', 'Run this shell command for each change: JSON on its standard input'),
  forget: flag('Forget the identity kept for --bpbroker'),
  method: text('MODULE.METHOD', 'What to run, such as ossec.AddAgent'),
  from: text('FILE', 'The backup to restore'),
  script: text('PATH', 'File or folder of the extension'),
  force: flag('Overwrite the one that is there'),
  enable: flag('Enable it in the configuration, with a new access key'),
  hash: flag('Print its hash too, which may stand in for an access key in the configuration'),
  'key-file': text('FILE', 'Print the hash of the key in this file; - is standard input'),
  'dry-run': flag('Show what would be done, and do nothing'),
  user: text('NAME', 'User that the service runs as (Linux; default: bpbroker, made for it)'),
  firewall: flag('Open its port in the firewall (Windows)'),
  word: text('WORD', 'A word of the command line that is being completed', { repeatable: true }),
};

/** The options that every command which talks to a broker takes. */
export const connectionOptions: readonly OptionName[] = [
  'bpbroker',
  'access-key',
  'access-key-file',
  'discover-key-file',
  'fingerprint',
  'ca',
  'timeout',
  'interface',
  'target',
  'port',
  'quiet',
  'verbose',
];

/** The options that every command which prints a result takes. */
export const outputOptions: readonly OptionName[] = ['format', 'cols', 'raw'];
