import {
  checkBroker,
  checkCols,
  checkDuration,
  checkEndpoint,
  checkEntryName,
  checkFingerprint,
  checkMember,
  checkMethod,
  checkPrefix,
  checkWhole,
} from './option-checks.ts';
import type { OptionDefinition, OptionName } from './option-definition.ts';

export type { OptionName } from './option-definition.ts';

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

export const optionDefinitions: Readonly<Record<OptionName, OptionDefinition>> = {
  help: flag('Show this help', { alias: 'h' }),
  version: flag('Show the version'),

  // broker
  config: text('FILE', 'Configuration file, which holds the registry too', {
    alias: 'c',
    default: "the machine's file, or the user's own if the machine's cannot be written",
    env: 'BPBROKER_CONFIG',
  }),
  'listen-ip': text('ADDRESS', 'Address to listen on', {
    group: 'network',
    default: "the file's api.listen_ip, else all addresses",
    env: 'BPBROKER_LISTEN_IP',
  }),
  'listen-port': text('PORT', 'TCP and UDP port; 0 is any free one', {
    group: 'network',
    default: "the file's api.listen_port, else 20443",
    env: 'BPBROKER_LISTEN_PORT',
  }),
  'ssl-cert': text('FILE', 'PEM certificate of the broker', {
    group: 'network',
    default: "the file's api.ssl_cert, else one that the broker makes",
    env: 'BPBROKER_SSL_CERT',
  }),
  'ssl-key': text('FILE', 'PEM private key of the certificate', {
    group: 'network',
    default: "the file's api.ssl_key, else one that the broker makes",
    env: 'BPBROKER_SSL_KEY',
  }),
  'log-format': text('FORMAT', 'Form of the log lines: text, json, or auto: text on a terminal, else json', {
    group: 'log',
    choices: ['text', 'json', 'auto'],
    default: 'text',
    env: 'BPBROKER_LOG_FORMAT',
  }),
  'log-level': text('LEVEL', 'Least severe events to log: error, warn, info or debug', {
    group: 'log',
    choices: ['error', 'warn', 'info', 'debug'],
    default: "the file's _global.log_level, else info",
    env: 'BPBROKER_LOG_LEVEL',
  }),
  detach: flag('Return once the broker is ready, and leave it running in the background'),
  'log-file': text('FILE', 'Log of the detached broker, which is appended to', {
    group: 'log',
    default: 'beside the configuration, with .log in place of .json',
  }),
  'config-file': text('FILE', 'JSON to add; - is standard input', {
    default: 'standard input',
  }),

  // client
  bpbroker: text('HOST[:PORT]|URL', 'Broker to talk to', {
    alias: 'b',
    group: 'connection',
    default: 'the broker that is found on the network',
    env: 'BPBROKER',
    check: checkBroker,
    excludes: {
      port: 'a named broker is not searched for; its port belongs to its name, --bpbroker HOST:PORT',
      target: 'a named broker is not searched for; leave one of them out',
      interface: 'a named broker is not searched for; leave one of them out',
    },
  }),
  'access-key': text(
    'KEY',
    'Access key; the process list shows it, so prefer the variable or --access-key-file',
    {
      alias: 'a',
      group: 'connection',
      default: 'none',
      env: 'BPBROKER_ACCESS_KEY',
      secret: true,
    },
  ),
  'access-key-file': text('FILE', 'File that holds the access key', {
    group: 'connection',
    default: 'none',
  }),
  'discover-key-file': text('FILE', 'File that holds the discovery key, which the broker must have too', {
    group: 'connection',
    default: 'none: brokers are found without a key',
    contentEnv: 'BPBROKER_DISCOVER_KEY',
  }),
  fingerprint: text('sha256:HEX', 'The only identity to accept from the broker', {
    group: 'connection',
    default: 'the identity that was kept at first contact',
    env: 'BPBROKER_FINGERPRINT',
    check: checkFingerprint,
    refusesEmpty: true,
  }),
  ca: text('FILE', "PEM file of the authorities that may sign for a broker's URL", {
    group: 'connection',
    default: "the system's authorities",
    env: 'BPBROKER_CA',
    refusesEmpty: true,
  }),
  timeout: text('TIME', 'Time limit, such as 500ms, 3s, 2m, 1h or 1d', {
    env: 'BPBROKER_TIMEOUT',
    check: checkDuration,
  }),
  format: text('FORMAT', 'Form of the output: text, json, csv, csv-noheader or env', {
    alias: 'f',
    group: 'output',
    choices: ['text', 'json', 'csv', 'csv-noheader', 'env'],
    default: 'text',
  }),
  cols: text('A,B', 'Print only these columns', { group: 'output', default: 'all', check: checkCols }),
  raw: flag("Print the broker's whole answer, as JSON", {
    group: 'output',
    excludes: {
      'data-only': 'one asks for the whole answer, the other for a part of it; leave one of them out',
      cols: 'one asks for the whole answer, the other for a part of it; leave one of them out',
      format: { allBut: ['json'], instead: 'the whole answer is JSON; leave one of them out' },
      default: 'a missing entry has no answer to print; leave one of them out',
      prefix: 'there may be several answers; leave --raw out',
    },
  }),
  'data-only': flag('Print the data without last_write_ts and last_write_ip', { group: 'output' }),
  quiet: flag('Write no notes to standard error', {
    group: 'output',
    excludes: { verbose: 'one asks for fewer notes, the other for more; leave one of them out' },
  }),
  verbose: flag('Write more notes to standard error', { group: 'output' }),
  interface: text('NAME', 'Look for brokers through this network interface alone', {
    group: 'connection',
    default: 'all interfaces',
    repeatable: true,
    env: 'BPBROKER_INTERFACES',
  }),
  target: text('ADDRESS', 'Also ask this address, which broadcasts do not reach', {
    group: 'connection',
    default: 'none',
    repeatable: true,
  }),

  // single commands
  name: text('NAME', 'Name of the entry', { check: checkEntryName }),
  data: text('DATA', 'The data: a text, or a JSON object'),
  'data-file': text('FILE', 'Read the data from this file; - is standard input'),
  json: flag('Refuse data that is not a JSON object'),
  unset: text('KEY', String.raw`Remove this member; dots lead inwards, \. is a dot within a name`, {
    default: 'none',
    repeatable: true,
    check: checkMember,
  }),
  default: text('DATA', 'Print this if there is no such entry or column', {
    default: 'exit code 3',
    excludes: { wait: 'a command that waits finds the entry, or exits with code 9; leave one of them out' },
  }),
  wait: flag('Wait until it exists'),
  all: flag('Print every broker that answers, a line each', {
    excludes: { format: { only: ['env'], instead: 'variables can hold one broker; leave one of them out' } },
  }),
  port: text('PORT', 'UDP port of the brokers that are looked for', {
    group: 'connection',
    default: '20443',
  }),
  ttl: text('TIME', 'Lifetime: the entry expires after this time unless it is renewed', {
    default: 'it never expires',
    check: checkDuration,
  }),
  'if-same': flag('Succeed as well if the entry exists with equal data; it gets the --ttl'),
  'if-revision': text('N', 'Write only if the entry is at this revision; 0: only if it does not exist', {
    default: 'write at any revision',
    check: checkWhole,
  }),
  foreground: flag(
    'Leave the command in the process group of the terminal, so that it may ask for a password there; the processes that it starts are not ended with it',
  ),
  'if-locked': flag('Write only while the lock of the surrounding lock command is held'),
  prefix: text('PREFIX', 'Only entries whose names start with this', {
    default: 'all entries',
    check: checkPrefix,
    excludes: { 'if-revision': 'each entry has a revision of its own; leave one of them out' },
  }),
  'wait-count': text('K', 'Wait until K entries exist', { default: 'do not wait', check: checkWhole }),
  count: flag('Print how many entries there are, and not the entries', {
    excludes: { 'data-only': 'a number has no stamps; leave --data-only out' },
  }),
  initial: flag('Print the existing entries first, in the order of their last writes', {
    excludes: {
      after: 'one begins with the present entries, the other after an earlier change; leave one of them out',
    },
  }),
  after: text('R', 'Go on with the changes after revision R', {
    default: 'the changes from now on',
    check: checkWhole,
  }),
  exec: text('COMMAND', 'Run this shell command for each change, with its line on standard input', {
    default: 'none',
  }),
  forget: flag('Forget the identity that is kept'),
  method: text('MODULE.METHOD', 'The method to run, such as ossec.AddAgent', { check: checkMethod }),
  from: text('FILE', 'The backup to restore'),
  to: text('DRIVER', 'Where to move the registry: file or etcd', { choices: ['file', 'etcd'] }),
  endpoint: text('URL', 'Client URL of a member of the etcd cluster, such as https://10.0.0.1:2379', {
    default: "the file's _store.endpoints",
    check: checkEndpoint,
    repeatable: true,
  }),
  script: text('PATH', 'File or folder of the extension'),
  force: flag('Replace the extension of that name'),
  enable: flag('Enable the extension in the configuration, with a new access key'),
  hash: flag('Print the hash of the key too; the configuration may hold it in place of the key'),
  'key-file': text('FILE', 'Print the hash of the key in this file; - is standard input', {
    default: 'a new key is made',
  }),
  'dry-run': flag('Show what would be done, and do nothing'),
  user: text('NAME', 'User that the service runs as (Linux)', {
    default: 'bpbroker, which is made for it',
  }),
  firewall: flag('Open its port in the firewall (Windows)'),
  word: text('WORD', 'A word of the command line that is being completed', {
    default: 'none',
    repeatable: true,
  }),
};
