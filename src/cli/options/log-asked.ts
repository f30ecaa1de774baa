import { runtime } from '#runtime';
import type { Environment } from '../../runtime/runtime.ts';
import { optionDefinitions, type OptionName } from './options.ts';

/**
 * The form of the log that a command line asks for, even where the command line is wrong: its error goes to the
 * log too. Undefined for a command without a log, and for an unknown form.
 */
export function logFormatAsked(
  argv: readonly string[],
  env: Environment = runtime.environment,
): 'text' | 'json' | 'auto' | undefined {
  let command: string | undefined;
  let format: string | undefined;
  let isDetached = false;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] ?? '';
    if (!word.startsWith('-')) {
      command ??= word;
      continue;
    }
    const equals = word.indexOf('=');
    const name = nameOf(equals === -1 ? word : word.slice(0, equals));
    if (name === undefined) continue;
    isDetached ||= name === 'detach';
    if (optionDefinitions[name].type !== 'string') continue;
    const value = equals === -1 ? argv[++i] : word.slice(equals + 1);
    if (name === 'log-format') format ??= value;
  }
  if (command !== 'start') return undefined;
  const asked = format ?? (env[optionDefinitions['log-format'].env ?? ''] || 'text');
  // The log of a detached broker is a file.
  if (asked === 'auto' && isDetached) return 'json';
  return asked === 'text' || asked === 'json' || asked === 'auto' ? asked : undefined;
}

function nameOf(word: string): OptionName | undefined {
  const names = Object.keys(optionDefinitions) as OptionName[];
  return names.find((name) =>
    word.startsWith('--') ? word === `--${name}` : word === `-${optionDefinitions[name].alias}`,
  );
}
