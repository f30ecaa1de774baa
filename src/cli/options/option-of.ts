import type { Command } from '../command.ts';
import { optionDefinitions, type OptionName } from './options.ts';
import type { OptionDefinition } from './option-definition.ts';

/** An option as a command takes it: with its meaning there, and with a value if it has one only there. */
export function optionOf(
  name: OptionName,
  { meanings, valued, choices, checks }: Pick<Command, 'meanings' | 'valued' | 'choices' | 'checks'>,
): OptionDefinition {
  const definition = optionDefinitions[name];
  const description = meanings?.[name] ?? definition.description;
  const valueHint = valued?.[name];
  const taken = choices?.[name];
  const check = checks?.[name];
  return {
    ...definition,
    description,
    ...(valueHint !== undefined && { type: 'string', valueHint }),
    ...(taken && { choices: taken }),
    ...(check && { check }),
  };
}
