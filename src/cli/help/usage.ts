import { stripVTControlCharacters } from 'node:util';
import { type ArgsDef, renderUsage } from 'citty';
import type { Command } from '../command.ts';
import { optionOf } from '../options/option-of.ts';
import { optionDefinitions, type OptionName } from '../options/options.ts';

/** The command line of a command in general, in the form of citty, as pieces that are not to be broken. */
export async function usageOf(
  program: string,
  path: readonly string[],
  command: Command,
): Promise<readonly string[]> {
  const name = [program, ...path].join(' ');
  const text = await renderUsage({ meta: { name }, args: argumentsOf(command) });
  const [, line = ''] = /^USAGE (.*)$/m.exec(stripVTControlCharacters(text)) ?? [];
  const pieces = line.slice(name.length).split(' ').filter(Boolean);
  return [
    name,
    ...pieces,
    ...alternatives(command),
    ...(command.rest === undefined ? [] : [`-- ${command.rest}`]),
  ];
}

/** The parts of citty's line: options that must be given, whether there are others, and a command's name. */
function argumentsOf(command: Command): ArgsDef {
  const { subCommands, required = [], options = [] } = command;
  const given = required.map((name): [string, ArgsDef[string]] => [
    name,
    { type: 'string', required: true, valueHint: optionOf(name, command).valueHint ?? '' },
  ]);
  return {
    ...Object.fromEntries(given),
    ...(options.length > 0 || subCommands ? { help: { type: 'boolean' } } : {}),
    ...(subCommands ? { command: { type: 'positional', required: true } } : {}),
  };
}

/** citty has no notation for options of which one must be given. */
function alternatives({ oneOf = [] }: Command): string[] {
  return oneOf.flatMap((names) => `(${names.map(withValue).join(' |\n')})`.split('\n'));
}

function withValue(name: OptionName): string {
  const { valueHint } = optionDefinitions[name];
  return valueHint === undefined ? `--${name}` : `--${name}=<${valueHint}>`;
}
