import { suggest } from '../../protocol/suggestion.ts';
import { shellWord } from '../../protocol/formats/shell-word.ts';
import type { Command } from '../command.ts';
import type { OptionName } from './options.ts';

/*
 * Suggestions for a command line that cannot be read. Each function returns a text to append to a message,
 * such as ` (did you mean '--name'?)`, or `''`.
 */

/**
 * Words that people try instead of an option. A usage error answers with the option. If several options fit,
 * the first one counts.
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
  from: ['backup', 'file', 'input', 'source'],
  to: ['target', 'destination'],
  endpoint: ['endpoints', 'member', 'url', 'cluster'],
  script: ['file', 'path', 'extension'],
  force: ['overwrite', 'replace'],
  'key-file': ['key', 'file'],
  'dry-run': ['dryrun', 'simulate', 'what-if'],
  user: ['username', 'account'],
};

/** Words that people try instead of a command, by the words of the command. */
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

/** A letter that begins more options than this suggests nothing. */
const MAX_LETTERS = 3;

/** For a value, or a word of a list, that is not in `known`. */
export function suggestion(given: string, known: readonly string[], mark = ''): string {
  const near = suggest(given, known);
  return near === undefined ? '' : didYouMean([`${mark}${near}`]);
}

/** For an unknown option: searches the options of the command, or of the commands below it. */
export function optionSuggestion(given: string, command: Command): string {
  const scope = [...optionsBelow(command)];
  const found = synonymOf(given, scope) ?? suggest(given, scope);
  return found === undefined ? '' : didYouMean([`--${found}`]);
}

/** For a letter that no option has. */
export function letterSuggestion(letter: string, command: Command): string {
  const fitting = [...optionsBelow(command)].filter((name) => name.startsWith(letter.toLowerCase()));
  return fitting.length > MAX_LETTERS ? '' : didYouMean(fitting.map((name) => `--${name}`));
}

/** For an option that exists, but not in this command. */
export function otherOptionSuggestion(given: string, { options = [] }: Command): string {
  const found = synonymOf(given, options) ?? suggest(given, options);
  return found === undefined ? '' : didYouMean([`--${found}`]);
}

/** For a word that is not a command of the group. */
export function commandSuggestion(
  given: string,
  group: Command,
  path: readonly string[],
  root: Command,
): string {
  // The word `help` comes before the command; alone, it would be refused again.
  if (given === 'help' && path.length > 0) return didYouMean([`help ${path.join(' ')}`]);
  const own = visible(group);
  const below = own.flatMap((name) => visible(group.subCommands?.[name]).map((sub) => `${name} ${sub}`));
  const lastWords = new Map(below.toReversed().map((words) => [words.split(' ').at(-1) ?? '', words]));
  const prefix = path.length > 0 ? `${path.join(' ')} ` : '';
  const meant = (words: string): boolean => commandSynonyms[`${prefix}${words}`]?.includes(given) ?? false;
  const found =
    lastWords.get(given) ??
    [...own, ...below].find(meant) ??
    suggest(given, own) ??
    lastWords.get(suggest(given, [...lastWords.keys()]) ?? '') ??
    visible(root).find((name) => name === given);
  return found === undefined ? '' : didYouMean([found]);
}

/** For a word after a command that takes only options: the first option that fits and is not given. */
export function positionalSuggestion(
  given: string,
  command: Command,
  has: (name: OptionName) => boolean,
): string {
  const { required = [], oneOf = [], positionals = [...required, ...oneOf.flat()] } = command;
  const option = positionals.find((name) => !has(name));
  return option === undefined ? '' : didYouMean([`--${option} ${shellWord(given)}`]);
}

function didYouMean(words: readonly string[]): string {
  const quoted = words.map((word) => `'${word}'`);
  return words.length === 0 ? '' : ` (did you mean ${quoted.join(' or ')}?)`;
}

function synonymOf(given: string, names: readonly OptionName[]): OptionName | undefined {
  const synonyms = Object.entries(optionSynonyms) as [OptionName, readonly string[]][];
  return synonyms.find(([name, words]) => names.includes(name) && words.includes(given))?.[0];
}

/** The options of a command and of those below it: they may come before the command's name. */
function optionsBelow({ options = [], subCommands = {} }: Command): ReadonlySet<OptionName> {
  const below = Object.values(subCommands).filter(({ hidden }) => !hidden);
  return new Set([...options, ...below.flatMap((sub) => [...optionsBelow(sub)]), 'help', 'version']);
}

function visible(command: Command | undefined): string[] {
  return Object.entries(command?.subCommands ?? {})
    .filter(([, { hidden }]) => !hidden)
    .map(([name]) => name);
}
