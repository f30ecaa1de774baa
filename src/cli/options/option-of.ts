import type { Command } from '../command.ts';
import { type OptionDefinition, optionDefinitions, type OptionName } from './options.ts';

/** An option as a command takes it: with its meaning there, and with a value where only this command gives it one. */
export function optionOf(
  name: OptionName,
  { meanings, valued }: Pick<Command, 'meanings' | 'valued'>,
): OptionDefinition {
  const definition = optionDefinitions[name];
  const description = meanings?.[name] ?? definition.description;
  const valueHint = valued?.[name];
  return valueHint === undefined
    ? { ...definition, description }
    : { ...definition, description, type: 'string', valueHint };
}
