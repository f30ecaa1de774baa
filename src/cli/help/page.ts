import type { Command } from '../command.ts';
import { exitCodes } from './exit-codes.ts';
import { optionOf } from '../options/option-of.ts';
import { usageOf } from './usage.ts';
import { optionDefinitions, type OptionName } from '../options/options.ts';
import type { OptionGroup } from '../options/option-definition.ts';

/** A term and its description: an option, a command or an exit code. */
export interface Row {
  readonly term: string;
  readonly text: string;
}

export interface Section {
  /** In capitals. */
  readonly title: string;
  readonly rows: readonly Row[];
  /** A sentence below the items. */
  readonly note?: string;
}

/** The help of one command, before the layout for a terminal or the reference. */
export interface Page {
  /** One line, without a full stop. */
  readonly summary: string;
  /** Paragraphs of whole sentences. */
  readonly details: readonly string[];
  /** The command line in general, as pieces that are not to be broken. */
  readonly synopsis: readonly string[];
  readonly commands: Section;
  readonly options: readonly Section[];
  readonly exits: Section;
  /** Whole command lines. */
  readonly examples: readonly string[];
}

const titles: Readonly<Record<OptionGroup, string>> = {
  command: 'OPTIONS',
  network: 'NETWORK',
  log: 'LOG',
  connection: 'CONNECTION',
  output: 'OUTPUT',
};

/** The help of a command. `path` is the way to it from the program, whose own path is empty. */
export async function pageOf(program: string, path: readonly string[], command: Command): Promise<Page> {
  const { description, details, prints, examples = [] } = command;
  const printed = prints === undefined ? undefined : `It prints ${lowerFirst(prints)}`;
  return {
    summary: description,
    details: [details, printed].filter((text) => text !== undefined),
    synopsis: await usageOf(program, path, command),
    commands: { title: 'COMMANDS', rows: commandRows(command) },
    options: optionSections(command),
    exits: exitSection(program, path, command),
    examples: examples.map((line) => `${program} ${line}`),
  };
}

function withValue(name: OptionName, command: Pick<Command, 'valued'> = {}): string {
  const { valueHint } = optionOf(name, command);
  return valueHint === undefined ? `--${name}` : `--${name} ${valueHint}`;
}

/** The commands of a group. For an expanded group within it, its commands one by one. */
function commandRows({ subCommands = {} }: Command): Row[] {
  return Object.entries(subCommands)
    .filter(([, { hidden }]) => !hidden)
    .flatMap(([name, sub]): Row[] => {
      if (!sub.expanded) return [{ term: name, text: sub.description }];
      return commandRows(sub).map(({ term, text }) => ({ term: `${name} ${term}`, text }));
    });
}

function optionSections(command: Command): Section[] {
  return groupsOf(command).map(({ group, names }) => ({
    title: titles[group],
    rows: names.map((name) => optionRow(name, command)),
  }));
}

/**
 * The options of a command by group. Its own come in the command's order, the others in the order of all
 * options.
 */
export function groupsOf(
  command: Command,
): { readonly group: OptionGroup; readonly names: readonly OptionName[] }[] {
  const own: readonly OptionName[] = [...(command.options ?? []), 'help'];
  const all = Object.keys(optionDefinitions) as OptionName[];
  return (Object.keys(titles) as OptionGroup[])
    .map((group) => {
      const order = group === 'command' ? own : all.filter((name) => own.includes(name));
      return { group, names: order.filter((name) => groupOf(name, command) === group) };
    })
    .filter(({ names }) => names.length > 0);
}

/** A connection option with a meaning of its own here belongs to the command's options. */
function groupOf(name: OptionName, { meanings }: Command): OptionGroup {
  const { group = 'command' } = optionDefinitions[name];
  return group === 'connection' && meanings?.[name] !== undefined ? 'command' : group;
}

/** An option of a command, with its letter, its value and its description. */
export function optionRow(name: OptionName, command: Command): Row {
  const { alias } = optionDefinitions[name];
  return {
    term: `${alias ? `-${alias}, ` : ''}${withValue(name, command)}`,
    text: [command.meanings?.[name] ?? optionDefinitions[name].description, ...remarks(name, command)].join(
      ' ',
    ),
  };
}

/** Whether an option must be given, its default, and its variable. No-break spaces hold pieces together. */
function remarks(name: OptionName, command: Command): string[] {
  const variable = variableOf(name, command);
  const need = needOf(name, command);
  const without = defaultOf(name, command);
  const facts = [
    need,
    optionDefinitions[name].repeatable && 'repeatable',
    need === undefined && without !== undefined && `default: ${without}`,
  ].filter((fact) => typeof fact === 'string');
  return [
    ...(facts.length > 0 ? [`(${facts.join('; ')})`] : []),
    ...(variable === undefined ? [] : [`[env:\u00a0${variable}]`]),
  ];
}

/** `required`, or the options of which one is required; `undefined` for an optional one. */
export function needOf(name: OptionName, { required = [], oneOf = [] }: Command): string | undefined {
  if (required.includes(name)) return 'required';
  const others = oneOf.find((names) => names.includes(name))?.filter((other) => other !== name);
  return others && `this or ${others.map((other) => `--${other}`).join(' or ')} is required`;
}

/** The default of an option; `undefined` for a flag, which is then off. */
export function defaultOf(name: OptionName, { defaults }: Command): string | undefined {
  return defaults?.[name] ?? optionDefinitions[name].default;
}

/** The variable of an option of a command. */
export function variableOf(name: OptionName, { meanings }: Command): string | undefined {
  const { env, contentEnv } = optionDefinitions[name];
  if (contentEnv !== undefined) return `${contentEnv}, the\u00a0key\u00a0itself`;
  return meanings?.[name] === undefined ? env : undefined;
}

function exitSection(program: string, path: readonly string[], { exits = {} }: Command): Section {
  const isRoot = path.length === 0;
  const rows = Object.entries(isRoot ? exitCodes : exits).map(([term, text]) => ({ term, text }));
  return { title: 'EXIT CODES', rows, ...(isRoot ? {} : { note: `All others: '${program} help'.` }) };
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
