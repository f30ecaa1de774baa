import { shellWord } from '../protocol/shell-word.ts';
import type { Command } from './command.ts';
import { nearest } from './nearest.ts';
import type { OptionName } from './options.ts';
import { commandSynonyms, optionSynonyms } from './synonyms.ts';

/*
 * What a command line that cannot be read was probably meant to be. Each of these gives a text to put behind a message, such
 * as ` (did you mean '--name'?)`, or nothing.
 */

/** More than so many options that begin with a letter say nothing. */
const MAX_LETTERS = 3;

/** For a value, or a word of a list, that is none of `known`. */
export function suggestion(given: string, known: readonly string[], mark = ''): string {
  const near = nearest(given, known);
  return near === undefined ? '' : didYouMean([`${mark}${near}`]);
}

/** For an option that does not exist: by the options of the command that it was given to, or of those below it. */
export function optionSuggestion(given: string, command: Command): string {
  const scope = [...optionsBelow(command)];
  const found = synonymOf(given, scope) ?? nearest(given, scope);
  return found === undefined ? '' : didYouMean([`--${found}`]);
}

/** For a letter that no option has. */
export function letterSuggestion(letter: string, command: Command): string {
  const fitting = [...optionsBelow(command)].filter((name) => name.startsWith(letter.toLowerCase()));
  return fitting.length > MAX_LETTERS ? '' : didYouMean(fitting.map((name) => `--${name}`));
}

/** For an option that exists, but not for this command. */
export function otherOptionSuggestion(given: string, { options = [] }: Command): string {
  const found = synonymOf(given, options) ?? nearest(given, options);
  return found === undefined ? '' : didYouMean([`--${found}`]);
}

/** For a word that is no command of the group that it was given to. */
export function commandSuggestion(
  given: string,
  group: Command,
  path: readonly string[],
  root: Command,
): string {
  const own = visible(group);
  const below = own.flatMap((name) => visible(group.subCommands?.[name]).map((sub) => `${name} ${sub}`));
  const lastWords = new Map(below.toReversed().map((words) => [words.split(' ').at(-1) ?? '', words]));
  const prefix = path.length > 0 ? `${path.join(' ')} ` : '';
  const meant = (words: string): boolean => commandSynonyms[`${prefix}${words}`]?.includes(given) ?? false;
  const found =
    lastWords.get(given) ??
    [...own, ...below].find(meant) ??
    nearest(given, own) ??
    lastWords.get(nearest(given, [...lastWords.keys()]) ?? '') ??
    visible(root).find((name) => name === given);
  return found === undefined ? '' : didYouMean([found]);
}

/** For a word behind a command that takes only options: the first option that it may be meant for and that is not given. */
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

/** The options of a command and of those below it, which may come before the command's name. */
function optionsBelow({ options = [], subCommands = {} }: Command): ReadonlySet<OptionName> {
  const below = Object.values(subCommands).filter(({ hidden }) => !hidden);
  return new Set([...options, ...below.flatMap((sub) => [...optionsBelow(sub)]), 'help', 'version']);
}

function visible(command: Command | undefined): string[] {
  return Object.entries(command?.subCommands ?? {})
    .filter(([, { hidden }]) => !hidden)
    .map(([name]) => name);
}
