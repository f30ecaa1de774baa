import { runtime } from '#runtime';
import { BrokerError } from '../../protocol/errors.ts';
import type { Environment } from '../../runtime/runtime.ts';
import type { Arguments, Command } from '../command.ts';
import { optionOf } from './option-of.ts';
import { optionDefinitions, type OptionName } from './options.ts';
import type { OptionDefinition } from './option-definition.ts';
import {
  commandSuggestion,
  letterSuggestion,
  optionSuggestion,
  otherOptionSuggestion,
  positionalSuggestion,
  suggestion,
} from './suggest.ts';

export interface ParsedCommandLine {
  /** The words that lead to the command, such as `service`, `get`. */
  readonly path: readonly string[];
  readonly command: Command;
  readonly args: Arguments;
}

type Values = Map<OptionName, string[]>;

/**
 * Reads a command line against a program's commands. A value is taken literally, also one that looks like an
 * option.
 * @throws BrokerError `usage` that names what is unknown (and the nearest known one) or missing.
 */
export function parseCommandLine(
  argv: readonly string[],
  root: Command,
  env: Environment = runtime.environment,
): ParsedCommandLine {
  const values: Values = new Map();
  const path: string[] = [];
  const rest: string[] = [];
  let command = root;
  for (let i = 0; i < argv.length; i++) {
    const token = argv[i] ?? '';
    if (token === '--' && command.rest !== undefined) {
      rest.push(...argv.slice(i + 1));
      break;
    }
    if (!token.startsWith('-') || token === '-') {
      command = descend(command, token, path, root, values);
      continue;
    }
    const option = readOption(token, command);
    if (!takesValue(option.name, command, option.value ?? argv[i + 1], root)) {
      if (option.value !== undefined)
        throw new BrokerError('usage', `Option --${option.name} takes no value, got '${option.value}'`);
      add(values, option.name, '');
      continue;
    }
    // The next argument is the value, whatever it looks like.
    const value = option.value ?? argv[++i];
    if (value === undefined)
      throw new BrokerError(
        'usage',
        `Option --${option.name} needs a value (${optionOf(option.name, command).valueHint})`,
      );
    add(values, option.name, checkChoice(option.name, value, command, `--${option.name}`));
  }
  const isHelp = values.has('help') || path[0] === 'help';
  if (!isHelp && !values.has('version')) {
    checkOptions(values, command, path, env);
    if (command.rest !== undefined && rest.length === 0)
      throw new BrokerError(
        'usage',
        `Command '${path.join(' ')}' needs a command to run: -- ${command.rest}`,
      );
  }
  return { path, command, args: { ...argumentsOf(values, command, env), rest } };
}

function descend(command: Command, token: string, path: string[], root: Command, values: Values): Command {
  const commands = command.subCommands ?? {};
  const known = Object.keys(commands).filter((name) => !commands[name]?.hidden);
  const found = Object.hasOwn(commands, token) ? commands[token] : undefined;
  if (found) {
    path.push(token);
    return found;
  }
  if (known.length === 0 && command.rest !== undefined)
    throw new BrokerError(
      'usage',
      `Unexpected argument '${token}' after '${path.join(' ')}'; the command to run comes after --: -- ${command.rest}`,
    );
  if (known.length === 0) {
    const meant = positionalSuggestion(token, command, (name) => values.has(name));
    throw new BrokerError('usage', `Unexpected argument '${token}' after '${path.join(' ')}'${meant}`);
  }
  const group = path.filter((word) => word !== 'help');
  const what = [...group, 'command'].join(' ');
  const { elsewhere } = root;
  const meant =
    group.length === 0 && elsewhere?.commands.includes(token)
      ? `, which only ${elsewhere.program} has`
      : commandSuggestion(token, command, group, root);
  throw new BrokerError('usage', `Unknown ${what} '${token}'${meant}; there are ${known.join(', ')}`);
}

function readOption(token: string, command: Command): { name: OptionName; value?: string } {
  if (token.startsWith('--')) {
    const equals = token.indexOf('=');
    const name = equals === -1 ? token.slice(2) : token.slice(2, equals);
    // Without the value, which may be a key after a misspelt --access-key.
    if (!isOption(name)) throw unknownOption(`--${name}`, optionSuggestion(name, command));
    return equals === -1 ? { name } : { name, value: token.slice(equals + 1) };
  }
  const entries = Object.entries(optionDefinitions);
  const name = entries.find(([, { alias }]) => alias === token[1])?.[0];
  const known = name !== undefined && isOption(name);
  if (known && token.length === 2) return { name };
  if (!known || optionDefinitions[name].type === 'boolean') {
    const word = token.slice(1);
    const meant = word.length === 1 ? letterSuggestion(word, command) : optionSuggestion(word, command);
    throw unknownOption(token, meant);
  }
  return { name, value: token.slice(token[2] === '=' ? 3 : 2) };
}

function add(values: Values, name: OptionName, value: string): void {
  const given = values.get(name);
  if (!given) {
    values.set(name, [value]);
  } else if (definition(name).repeatable) {
    given.push(value);
  } else if (value !== '' || definition(name).type === 'string') {
    const which = definition(name).secret ? '' : `: '${given[0]}' and '${value}'`;
    throw new BrokerError('usage', `Option --${name} is given twice${which}`);
  }
}

function oneOf(choices: readonly string[]): string {
  return [choices.slice(0, -1).join(', '), ...choices.slice(-1)].filter(Boolean).join(' or ');
}

function checkChoice(name: OptionName, value: string, command: Command, label: string): string {
  const { choices } = optionOf(name, command);
  if (choices && !choices.includes(value)) {
    throw new BrokerError(
      'usage',
      `Invalid ${label} '${value}'${suggestion(value, choices)}: expected ${oneOf(choices)}`,
    );
  }
  return value;
}

/**
 * Whether an option carries a value. Some options carry one only in some commands. Before the command, such
 * an option carries a value if a number follows it.
 */
function takesValue(name: OptionName, command: Command, next: string | undefined, root: Command): boolean {
  if (command.load || optionDefinitions[name].type === 'string')
    return optionOf(name, command).type === 'string';
  return isValuedBelow(name, root) && next !== undefined && /^\d+$/.test(next);
}

function isValuedBelow(name: OptionName, { valued, subCommands = {} }: Command): boolean {
  return valued?.[name] !== undefined || Object.values(subCommands).some((sub) => isValuedBelow(name, sub));
}

function checkOptions(values: Values, command: Command, path: readonly string[], env: Environment): void {
  const taken = command.options ?? [];
  // A group without a command shows its usage, and no error about its options.
  if (!command.load) return;
  for (const [name, [value]] of values) {
    if (taken.includes(name)) checkHasValue(name, value, command);
    else {
      throw new BrokerError(
        'usage',
        `Command '${path.join(' ')}' takes no option --${name}${otherOptionSuggestion(name, command)}`,
      );
    }
  }
  for (const name of taken) {
    checkExclusions(name, values, env);
    checkIsFilled(name, values, command, env);
  }
  // Checked before anything is done: no broker is searched for with an invalid name.
  for (const [name, given] of values) {
    for (const value of given) {
      // An option may have come before its command, which alone knows what it accepts.
      checkChoice(name, value, command, `--${name}`);
      optionOf(name, command).check?.(value, `--${name}`);
    }
  }
  for (const name of command.required ?? []) {
    if (!values.has(name))
      throw new BrokerError('usage', `Command '${path.join(' ')}' needs --${name} ${hint(name, command)}`);
  }
}

/** For an option that came before its command, which alone knows whether it takes a value. */
function checkHasValue(name: OptionName, value: string | undefined, command: Command): void {
  if (optionDefinitions[name].type === 'string') return;
  const { type, valueHint } = optionOf(name, command);
  if (type === 'string' && value === '')
    throw new BrokerError('usage', `Option --${name} needs a value (${valueHint})`);
  if (type === 'boolean' && value !== '')
    throw new BrokerError('usage', `Option --${name} takes no value, got '${value}'`);
}

/** Refuses an empty variable that would weaken a check, whether this call comes to that check or not. */
function checkIsFilled(name: OptionName, values: Values, command: Command, env: Environment): void {
  const { env: variable, refusesEmpty } = definition(name);
  if (!refusesEmpty || variable === undefined || env[variable] !== '') return;
  if (values.has(name) || command.meanings?.[name] !== undefined) return;
  throw new BrokerError(
    'usage',
    `The variable ${variable} is empty: give it ${hint(name, command)}, or unset it`,
  );
}

/** Refuses options that would be ignored: the user would not know it. */
function checkExclusions(name: OptionName, values: Values, env: Environment): void {
  const { excludes, env: variable } = definition(name);
  if (!excludes) return;
  const byVariable = variable !== undefined && env[variable] ? variable : undefined;
  const given = values.has(name) ? `--${name}` : byVariable;
  if (given === undefined) return;
  for (const [other, rule] of Object.entries(excludes)) {
    const [value] = values.get(other as OptionName) ?? [];
    if (value === undefined) continue;
    if (typeof rule === 'string')
      throw new BrokerError('usage', `Option --${other} has no meaning beside ${given}: ${rule}`);
    const isExcluded = rule.only?.includes(value) ?? !rule.allBut?.includes(value);
    if (isExcluded)
      throw new BrokerError(
        'usage',
        `Option --${other} ${value} has no meaning beside ${given}: ${rule.instead}`,
      );
  }
}

function argumentsOf(values: Values, command: Command, env: Environment): Omit<Arguments, 'rest'> {
  const fromEnvironment = (name: OptionName): string | undefined => {
    const variable = definition(name).env;
    if (variable === undefined || !command.options?.includes(name)) return undefined;
    // The variable has the common meaning, which is not the meaning of this command.
    if (command.meanings?.[name] !== undefined) return undefined;
    // An empty variable counts as unset: scripts export variables that they have not filled.
    const value = env[variable] || undefined;
    if (value === undefined) return undefined;
    optionOf(name, command).check?.(value, variable);
    return checkChoice(name, value, command, variable);
  };
  const text = (name: OptionName): string | undefined => values.get(name)?.[0] ?? fromEnvironment(name);
  return {
    text,
    required(name) {
      const value = text(name);
      if (value === undefined)
        throw new BrokerError('usage', `Option --${name} ${hint(name, command)} is missing`);
      return value;
    },
    flag: (name) => values.has(name),
    label(name) {
      const isVariable = !values.has(name) && fromEnvironment(name) !== undefined;
      return (isVariable ? definition(name).env : undefined) ?? `--${name}`;
    },
    list: (name) => values.get(name) ?? fromEnvironment(name)?.split(',').filter(Boolean) ?? [],
  };
}

function unknownOption(token: string, meant: string): BrokerError {
  return new BrokerError('usage', `Unknown option '${token}'${meant}`);
}

function definition(name: OptionName): OptionDefinition {
  return optionDefinitions[name];
}

function hint(name: OptionName, command: Command): string {
  return optionOf(name, command).valueHint ?? '';
}

function isOption(name: string): name is OptionName {
  return Object.hasOwn(optionDefinitions, name);
}
