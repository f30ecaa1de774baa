import type { OptionName } from './options.ts';

/**
 * Words that people try in place of an option, which a usage error answers with the option itself. Where several fit, the
 * first one of them does.
 */
export const optionSynonyms: Partial<Readonly<Record<OptionName, readonly string[]>>> = {
  'access-key': ['key', 'token', 'password', 'auth', 'secret', 'api-key'],
  help: ['usage', 'man'],
  config: ['conf', 'configuration'],
  'listen-ip': ['ip', 'host', 'bind', 'address', 'listen'],
  'listen-port': ['port'],
  'ssl-cert': ['cert', 'certificate', 'tls-cert'],
  'ssl-key': ['key', 'private-key', 'tls-key'],
  'log-format': ['format'],
  'log-level': ['level', 'loglevel', 'verbose', 'debug'],
  'config-file': ['file', 'json'],
  bpbroker: ['broker', 'host', 'server', 'address', 'url', 'endpoint'],
  'access-key-file': ['key-file', 'token-file', 'password-file'],
  'discover-key-file': ['discover-key', 'discovery-key', 'discovery-key-file'],
  fingerprint: ['identity', 'pin'],
  ca: ['cacert', 'ca-file', 'ca-cert'],
  timeout: ['deadline', 'max-time', 'wait-time', 'for'],
  format: ['output', 'json', 'csv', 'env'],
  cols: ['columns', 'column', 'fields', 'field'],
  quiet: ['silent'],
  verbose: ['debug', 'trace'],
  interface: ['iface', 'nic', 'device'],
  target: ['peer'],
  name: ['entry', 'service', 'id'],
  data: ['value', 'body', 'payload', 'json'],
  'data-file': ['file', 'input'],
  wait: ['block'],
  ttl: ['expire', 'expires', 'lifetime'],
  'if-revision': ['revision', 'if-match', 'cas'],
  'wait-count': ['wait-for', 'wait'],
  exec: ['command', 'run', 'cmd'],
  forget: ['remove', 'delete'],
  method: ['name', 'function'],
  from: ['backup', 'file', 'input'],
  script: ['file', 'path', 'extension'],
  force: ['overwrite', 'replace'],
  'key-file': ['key', 'file'],
  'dry-run': ['dryrun', 'simulate', 'what-if'],
  user: ['username', 'account'],
};

/** Words that people try in place of a command, by the words of the command. */
export const commandSynonyms: Readonly<Record<string, readonly string[]>> = {
  start: ['run', 'serve', 'server', 'up', 'daemon'],
  configure: ['config'],
  keygen: ['genkey', 'key'],
  ping: ['check', 'health'],
  discover: ['find', 'lookup', 'search', 'resolve'],
  execute: ['exec', 'call', 'invoke'],
  trust: ['pin', 'known'],
  'service register': ['create', 'add', 'new'],
  'service replace': ['set', 'put', 'write', 'store'],
  'service update': ['merge', 'patch', 'edit'],
  'service get': ['read', 'show', 'cat', 'fetch', 'wait'],
  'service delete': ['del', 'rm', 'remove', 'unregister', 'deregister'],
  'service list': ['ls', 'dir', 'keys'],
  'service watch': ['subscribe', 'follow', 'tail'],
};
