import type { Command } from '../command.ts';
import { optionOf } from '../options/option-of.ts';
import { optionDefinitions, type OptionName } from '../options/options.ts';
import type { OptionDefinition } from '../options/option-definition.ts';

/** A word that may be completed at the cursor. */
export interface Candidate {
  readonly value: string;
  readonly description?: string;
}

/** What can be completed at the cursor of a command line. */
export type Completion =
  | { readonly kind: 'words'; readonly candidates: readonly Candidate[] }
  /** File names, which the shell completes itself. */
  | { readonly kind: 'files' }
  /** Names of entries that begin with `prefix`; only a broker knows them. */
  | { readonly kind: 'entries'; readonly prefix: string };

export interface TypedLine {
  readonly completion: Completion;
  /** The options whose values have been typed already. */
  readonly given: ReadonlyMap<OptionName, string>;
}

/**
 * Reads the words of a command line up to the cursor by the rules of the parser. The last word is the one
 * that is typed; it may be empty. After `--option=`, candidates are values.
 */
export function complete(root: Command, words: readonly string[]): TypedLine {
  const given = new Map<OptionName, string>();
  let command = root;
  let pending: OptionName | undefined;
  for (const word of words.slice(0, -1)) {
    if (pending) {
      given.set(pending, word);
      pending = undefined;
      continue;
    }
    // The words after `--` are those of another program.
    if (word === '--' && command.rest !== undefined) return { given, completion: { kind: 'files' } };
    if (!isOption(word)) {
      command = command.subCommands?.[word] ?? { description: '' };
      continue;
    }
    const { name, value } = readOption(word);
    if (!name) continue;
    if (value === undefined && optionOf(name, command).type === 'string') pending = name;
    else given.set(name, value ?? '');
  }
  return { given, completion: completeWord(command, words.at(-1) ?? '', pending, given) };
}

function completeWord(
  command: Command,
  word: string,
  pending: OptionName | undefined,
  given: ReadonlyMap<OptionName, string>,
): Completion {
  if (pending) return completeValue(pending, word, command);
  if (/^--[^=]+=/.test(word)) {
    const { name, value = '' } = readOption(word);
    return name ? completeValue(name, value, command) : choose([], word);
  }
  const commands = Object.entries(command.subCommands ?? {}).filter(([, { hidden }]) => !hidden);
  if (!word.startsWith('-') && commands.length > 0) {
    return choose(
      commands.map(([value, { description }]) => ({ value, description })),
      word,
    );
  }
  const left = optionsOf(command).filter((name) => !given.has(name) || definition(name).repeatable);
  return choose(
    left.flatMap((name) => optionCandidates(name, command)),
    word,
  );
}

/**
 * The options of a command, required ones first. A group has those of all its commands, as options may come
 * before the command.
 */
function optionsOf(command: Command): OptionName[] {
  const below = Object.values(command.subCommands ?? {}).filter(({ hidden }) => !hidden);
  const own = [...(command.required ?? []), ...(command.options ?? [])];
  return [...new Set<OptionName>([...own, ...below.flatMap(optionsOf), 'help'])];
}

function optionCandidates(name: OptionName, command: Command): Candidate[] {
  const { description, alias } = optionOf(name, command);
  return [{ value: `--${name}`, description }, ...(alias ? [{ value: `-${alias}`, description }] : [])];
}

function completeValue(name: OptionName, prefix: string, command: Command): Completion {
  const { choices, valueHint = '' } = optionOf(name, command);
  if (choices)
    return choose(
      choices.map((value) => ({ value })),
      prefix,
    );
  if (['FILE', 'PATH'].includes(valueHint)) return { kind: 'files' };
  if (name === 'name' || name === 'prefix') return { kind: 'entries', prefix };
  return choose([], prefix);
}

function choose(candidates: readonly Candidate[], prefix: string): Completion {
  const fitting = candidates.filter(({ value }) => value.startsWith(prefix));
  // A letter says less than the option's name.
  const long = fitting.filter(({ value }) => value.startsWith('--'));
  return { kind: 'words', candidates: prefix.length < 2 && long.length > 0 ? long : fitting };
}

function isOption(word: string): boolean {
  return word.startsWith('-') && word !== '-';
}

/** The option in `--name`, `--name=VALUE`, `-n` or `-nVALUE`; without a name when there is no such option. */
function readOption(word: string): { name: OptionName | undefined; value?: string } {
  if (word.startsWith('--')) {
    const [, text = '', value] = /^--([^=]*)(?:=([^]*))?$/.exec(word) ?? [];
    return { name: named(text), ...(value === undefined ? {} : { value }) };
  }
  const name = Object.entries(optionDefinitions).find(([, { alias }]) => alias === word[1])?.[0];
  const value = word.slice(word[2] === '=' ? 3 : 2);
  return { name: named(name ?? ''), ...(value === '' ? {} : { value }) };
}

function named(text: string): OptionName | undefined {
  return Object.hasOwn(optionDefinitions, text) ? (text as OptionName) : undefined;
}

function definition(name: OptionName): OptionDefinition {
  return optionDefinitions[name];
}
