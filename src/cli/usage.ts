import type { ArgsDef, CommandDef } from 'citty';
import { stripVTControlCharacters } from 'node:util';
import type { Command } from './command.ts';
import { type OptionDefinition, optionDefinitions, type OptionName } from './options.ts';

/** Help for a command: its usage as citty renders it, then examples. Coloured only for a terminal. */
export async function renderHelp(
  program: string,
  path: readonly string[],
  command: Command,
  colour: boolean,
): Promise<string> {
  const { renderUsage } = await import('citty');
  const parents = path.slice(0, -1).join(' ');
  const name = path.at(-1) ?? program;
  const parent =
    path.length === 0 ? undefined : { meta: { name: `${program}${parents ? ` ${parents}` : ''}` } };
  const usage = (await renderUsage(toCitty(name, command), parent)).trimEnd();
  const examples = command.examples?.map((line) => `  ${program} ${line}`) ?? [];
  const text = [usage, ...(examples.length > 0 ? ['', 'EXAMPLES', '', ...examples] : []), ''].join('\n');
  return colour ? text : stripVTControlCharacters(text);
}

function toCitty(name: string, command: Command): CommandDef {
  const names: OptionName[] = [...(command.options ?? []), 'help'];
  const subCommands = Object.entries(command.subCommands ?? {})
    .filter(([, sub]) => !sub.hidden)
    .map(([key, sub]) => [key, toCitty(key, sub)]);
  return {
    meta: { name, description: command.description },
    args: Object.fromEntries(names.map((option) => [option, toArgument(option, command)])),
    ...(subCommands.length > 0
      ? { subCommands: Object.fromEntries(subCommands) as Record<string, CommandDef> }
      : {}),
  };
}

function toArgument(name: OptionName, command: Command): ArgsDef[string] {
  const { type, description, valueHint, alias, env }: OptionDefinition = optionDefinitions[name];
  return {
    type,
    description: command.meanings?.[name] ?? (env ? `${description} [${env}]` : description),
    required: command.required?.includes(name) ?? false,
    ...(alias ? { alias } : {}),
    ...(valueHint ? { valueHint } : {}),
  };
}
